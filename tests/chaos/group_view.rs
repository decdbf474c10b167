//! The consumer group from outside: what is committed, and where the logs end.

use std::time::Duration;

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};

/// A single question; without an answer it is asked again.
const QUESTION: Duration = Duration::from_secs(5);

/// Looks at a group and a topic through clients of its own.
pub(crate) struct GroupView {
    consumer: BaseConsumer,
    topic: String,
    partitions: i32,
}

impl std::fmt::Debug for GroupView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupView").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl GroupView {
    pub(crate) const fn new(consumer: BaseConsumer, topic: String, partitions: i32) -> Self {
        Self { consumer, topic, partitions }
    }

    /// The end of each partition; `None` if a broker does not answer.
    pub(crate) fn ends(&self) -> Option<Vec<i64>> {
        let end = |partition| match self.consumer.fetch_watermarks(&self.topic, partition, QUESTION) {
            Ok((_, end)) => Some(end),
            Err(error) => {
                // A broker that has just come back may not know the topic yet, and librdkafka remembers that for minutes.
                let _ = self.consumer.fetch_metadata(Some(&self.topic), QUESTION);
                eprintln!("where {} {partition} ends is not known: {error}; looking anew", self.topic);
                None
            }
        };
        (0..self.partitions).map(end).collect()
    }

    /// The committed offset of each partition, 0 where there is none; `None` if the broker does not answer.
    pub(crate) fn committed(&self) -> Option<Vec<i64>> {
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition(&self.topic, partition);
        }
        let found = self.consumer.committed_offsets(list, QUESTION).ok()?;
        let offset = |partition| {
            let committed = found.find_partition(&self.topic, partition)?.offset();
            Some(if let Offset::Offset(offset) = committed { offset } else { 0 })
        };
        (0..self.partitions).map(offset).collect()
    }
}
