//! What librdkafka hands over reaches the lane: records in the order of the log, and what happens to the partition between them.

use std::iter::Peekable;

use super::Runner;
use crate::app::horizon::Reach;
use crate::app::rows::Taken;
use crate::app::sheet::Sheet;
use crate::engine::event::Input;
use crate::engine::state::Offset;
use crate::kafka::ffi::{Content as Received, Message, Run};

impl Runner {
    /// Takes what librdkafka handed over; returns how much of it. What is left found no room, and is taken again after the next cut.
    pub(in crate::app) fn take(&mut self, run: &Run<'_>) -> usize {
        let mut messages = run.iter().peekable();
        let mut taken = 0;
        while let Some(Message { content, .. }) = messages.peek() {
            let took = match content {
                Received::Record { .. } => {
                    let took = self.rows.take(&mut self.lane, &self.metrics, &mut messages);
                    self.note(took)
                }
                Received::End | Received::EndAmongOthers | Received::Error(_) => self.event(&mut messages),
            };
            if took == 0 {
                self.tell(Input::Flush);
                break;
            }
            taken += took;
        }
        taken
    }

    /// Takes all of what librdkafka handed over, whose records `helper` has decoded into `sheet`.
    pub(in crate::app) fn take_helped(&mut self, run: &Run<'_>, helper: usize, sheet: &mut Sheet) {
        let mut messages = run.iter().peekable();
        while let Some(Message { content, .. }) = messages.peek() {
            match content {
                Received::Record { .. } => {
                    let with = (helper, &mut *sheet);
                    let took = self.rows.take_helped(&mut self.lane, &self.metrics, &mut messages, with);
                    self.note(took);
                }
                Received::End | Received::EndAmongOthers | Received::Error(_) => {
                    self.event(&mut messages);
                }
            }
        }
    }

    /// Whether records are welcome.
    pub(in crate::app) fn is_reading(&self) -> bool {
        self.lane.reads_from().is_some()
    }

    /// Whether records with keys and values of so many bytes would all find room.
    pub(in crate::app) const fn has_room(&self, bytes: usize) -> bool {
        self.rows.has_room(bytes)
    }

    /// Hands out the sheet that `helper` decodes into, until [`Runner::give_back`].
    pub(in crate::app) fn lend(&mut self, helper: usize) -> Sheet {
        self.rows.lend(helper)
    }

    pub(in crate::app) fn give_back(&mut self, helper: usize, sheet: Sheet) {
        self.rows.give_back(helper, sheet);
    }

    /// Whether all is read up to the end that librdkafka told last.
    pub(in crate::app) fn stands_at_end(&self) -> bool {
        self.horizon.told() == Some(self.lane.position())
    }

    /// Looks where the log ends, as far as is known without asking the broker.
    pub(in crate::app) fn look_ahead(&mut self) {
        self.horizon.look(self.io.known_end());
    }

    /// Notes that the group's partitions have moved: those that stay are fetched anew.
    pub(in crate::app) const fn expect_end_again(&mut self) {
        self.horizon.expect_again();
    }

    /// Returns how far the log's end is, if `records` are taken next.
    pub(in crate::app) fn reach(&self, records: usize) -> Reach {
        if self.finishing || self.lane.is_stopped() {
            return Reach::Quiet;
        }
        self.lane.reads_from().map_or(Reach::Near, |position| self.horizon.reach(position, records))
    }

    /// Whether a bounded run wants nothing more of this partition.
    fn is_all_read(&self) -> bool {
        self.finishing || self.end.is_some_and(|end| self.lane.position() >= end)
    }

    /// Returns how many records were taken.
    fn note(&self, Taken { records, value_bytes, failed }: Taken) -> usize {
        self.metrics.bytes.inc_by(u64::try_from(value_bytes).unwrap_or(0));
        if let Some(why) = failed {
            self.io.fail(format!("{}: {why}", self.place()));
        }
        records
    }

    /// Takes what is no record; returns how much.
    fn event<'a>(&mut self, messages: &mut Peekable<impl Iterator<Item = Message<'a>>>) -> usize {
        let Some(Message { offset, content }) = messages.next() else { return 0 };
        let offset = Offset(offset);
        match content {
            Received::Record { .. } => {}
            Received::End => {
                self.horizon.hear(offset);
                self.tell(Input::AtEnd { offset });
            }
            Received::EndAmongOthers => {
                self.horizon.meet(offset);
                self.tell(Input::AtEnd { offset });
                if !self.is_all_read() {
                    tracing::debug!(
                        topic = %self.partition.topic, partition = %self.partition.partition, end = %offset, horizon = ?self.horizon,
                        "the log's end was among other records; fetching again from the position"
                    );
                    self.tell(Input::Interrupted);
                }
            }
            Received::Error(code) if self.is_all_read() => {
                tracing::debug!(
                    topic = %self.partition.topic, partition = %self.partition.partition, %code,
                    "the partition cannot be read on, and need not be"
                );
            }
            Received::Error(code) => {
                tracing::warn!(
                    topic = %self.partition.topic, partition = %self.partition.partition, position = %self.lane.position(), %code,
                    "the partition cannot be read on; looking where its log begins and ends"
                );
                self.given_up = true;
                self.tell(Input::Interrupted);
            }
        }
        1
    }
}
