use super::*;
use crate::engine::state::Offset;

const NAMES: &[&str] = &[
    "records_total counter {topic,partition}",
    "bytes_total counter {topic,partition}",
    "rows_total counter {topic,partition}",
    "late_rows_total counter {topic,partition}",
    "dead_letters_total counter {topic,reason}",
    "dropped_total counter {topic,partition}",
    "skipped_offsets_total counter {topic,partition}",
    "forgotten_records_total counter {topic,partition}",
    "misfits_total counter {topic,column}",
    "unknown_fields_total counter {topic}",
    "lag_records gauge {topic,partition}",
    "position gauge {topic,partition}",
    "committed_position gauge {topic,partition}",
    "watermark_timestamp_seconds gauge {topic,partition}",
    "closed_through_timestamp_seconds gauge {topic,partition}",
    "open_epochs gauge {topic,partition}",
    "pending_closes gauge {topic,partition}",
    "entries_total counter {topic,partition}",
    "entry_bytes_total counter {topic,partition}",
    "append_duration_seconds histogram",
    "append_no_answer_total counter {topic,partition}",
    "append_conflicts_total counter {topic,partition}",
    "commit_duration_seconds histogram",
    "commit_failures_total counter {topic,partition}",
    "published_files_total counter {topic,partition}",
    "published_bytes_total counter {topic,partition}",
    "published_rows_total counter {topic,partition}",
    "assemble_duration_seconds histogram",
    "publish_duration_seconds histogram",
    "publish_failures_total counter {topic,partition}",
    "oldest_unmarked_epoch_timestamp_seconds gauge {topic}",
    "oldest_unmarked_epoch_partition gauge {topic}",
    "rebalances_total counter {kind}",
    "assigned_partitions gauge",
    "lanes_stopped gauge",
    "lanes_stalled gauge",
    "memory_used_bytes gauge",
    "memory_limit_bytes gauge",
    "build_info gauge {version}",
];

/// Returns metrics of which each has a value.
fn full() -> (Metrics, LaneMetrics) {
    let metrics = Metrics::new().expect("every declaration is valid");
    let lane = metrics.lane("events", PartitionId(3));
    lane.set_lag(12);
    lane.set_position(Offset(4_000_000_001));
    lane.set_committed_position(Offset(3_999_999_999));
    lane.set_watermark(EventTime(1_795_367_745_123_456));
    lane.set_closed_through(EventTime(1_795_367_700_000_000));
    lane.set_open_epochs(2);
    lane.set_pending_closes(1);
    lane.count_dead_letters("not_json", 5);
    lane.count_misfits("price", 7);
    lane.count_unknown_fields(1);
    metrics.set_oldest_unmarked("events", Some((EventTime(1_795_367_700_000_000), PartitionId(3))));
    metrics.observe_append(Duration::from_millis(14));
    metrics.observe_commit(Duration::from_millis(6));
    metrics.observe_assemble(Duration::from_millis(400));
    metrics.observe_publish(Duration::from_secs(2));
    metrics.set_memory_limit(400 << 20);
    metrics.set_memory_used(1 << 20);
    metrics.set_assigned_partitions(4);
    metrics.set_lanes_stopped(0);
    metrics.set_lanes_stalled(0);
    (metrics, lane)
}

fn has(metrics: &Metrics, line: &str) -> bool {
    let text = metrics.render().expect("renders");
    text.lines().any(|found| found.strip_prefix("streams_to_parquet_") == Some(line))
}

#[test]
fn the_names_kinds_and_labels_are_a_contract_with_dashboards() {
    let metrics = Metrics::new().expect("every declaration is valid");
    let listed: Vec<_> = metrics
        .descriptions()
        .iter()
        .map(|family| {
            let name = family.name.strip_prefix("streams_to_parquet_").expect("has the prefix");
            match family.labels.join(",").as_str() {
                "" => format!("{name} {}", family.kind),
                labels => format!("{name} {} {{{labels}}}", family.kind),
            }
        })
        .collect();
    assert_eq!(listed, NAMES);
}

#[test]
fn every_family_is_rendered_with_its_kind_and_its_help() {
    let (metrics, _lane) = full();
    let text = metrics.render().expect("renders");
    for Description { name, kind, help, .. } in metrics.descriptions() {
        assert!(help.ends_with('.') && help.contains(' '), "`{name}` is not explained");
        assert!(text.contains(&format!("# HELP {name} {help}\n")), "{name}");
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
    }
    assert_eq!(text.matches("# TYPE ").count(), metrics.descriptions().len());
}

#[test]
fn units_follow_the_conventions() {
    let metrics = Metrics::new().expect("every declaration is valid");
    for Description { name, kind, .. } in metrics.descriptions() {
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
    }
}

#[test]
fn values_are_rendered_to_the_last_digit() {
    let (metrics, lane) = full();
    lane.records.inc_by(20_000);
    assert!(has(&metrics, r#"records_total{partition="3",topic="events"} 20000"#));
    assert!(has(&metrics, r#"position{partition="3",topic="events"} 4000000001"#));
    assert!(has(&metrics, r#"watermark_timestamp_seconds{partition="3",topic="events"} 1795367745.123456"#));
    assert!(has(&metrics, r#"dead_letters_total{reason="not_json",topic="events"} 5"#));
    assert!(has(&metrics, r#"oldest_unmarked_epoch_partition{topic="events"} 3"#));
    assert!(has(&metrics, r#"append_duration_seconds_bucket{le="0.01"} 0"#));
    assert!(has(&metrics, r#"append_duration_seconds_bucket{le="0.025"} 1"#));
    assert!(has(&metrics, concat!(r#"build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#)));
}

#[test]
fn an_assigned_lane_counts_from_zero_and_shows_no_gauge_that_nobody_knows() {
    let metrics = Metrics::new().expect("every declaration is valid");
    let _lane = metrics.lane("events", PartitionId(0));
    assert!(has(&metrics, r#"commit_failures_total{partition="0",topic="events"} 0"#));
    assert!(has(&metrics, r#"rebalances_total{kind="lost"} 0"#));
    assert!(!metrics.render().expect("renders").contains("lag_records"));
}

#[test]
fn a_declared_topic_counts_its_dead_letters_from_zero() {
    let metrics = Metrics::new().expect("every declaration is valid");
    metrics.declare_topic("events", ["not_json", "not_utf8"]);
    assert!(has(&metrics, r#"dead_letters_total{reason="not_utf8",topic="events"} 0"#));
    assert!(has(&metrics, r#"unknown_fields_total{topic="events"} 0"#));
}

#[test]
fn the_gauges_of_a_lane_go_with_it_and_its_counters_stay() {
    let (metrics, lane) = full();
    lane.rows.inc_by(9);
    let other = metrics.lane("events", PartitionId(4));
    other.set_lag(1);
    drop(lane);
    let text = metrics.render().expect("renders");
    for name in ["lag_records", "position", "watermark_timestamp_seconds", "pending_closes", "open_epochs"] {
        assert!(!text.contains(&format!(r#"streams_to_parquet_{name}{{partition="3""#)), "{name}");
    }
    assert!(has(&metrics, r#"rows_total{partition="3",topic="events"} 9"#));
    assert!(has(&metrics, r#"lag_records{partition="4",topic="events"} 1"#));
}

#[test]
fn a_released_lane_shows_no_gauge_again() {
    let (metrics, lane) = full();
    lane.release();
    lane.set_lag(5);
    assert!(!metrics.render().expect("renders").contains("lag_records"));
}

#[test]
fn an_older_handle_of_a_lane_neither_shows_gauges_nor_takes_them_away() {
    let (metrics, older) = full();
    let newer = metrics.lane("events", PartitionId(3));
    assert!(!metrics.render().expect("renders").contains("lag_records"), "nobody knows the lag yet");
    newer.set_lag(7);
    older.set_lag(99);
    drop(older);
    assert!(has(&metrics, r#"lag_records{partition="3",topic="events"} 7"#));
    drop(newer);
    assert!(!metrics.render().expect("renders").contains("lag_records"));
}

#[test]
fn a_topic_whose_epochs_are_all_marked_has_no_oldest_unmarked_epoch() {
    let (metrics, _lane) = full();
    assert!(has(&metrics, r#"oldest_unmarked_epoch_timestamp_seconds{topic="events"} 1795367700"#));
    metrics.set_oldest_unmarked("events", None);
    assert!(!metrics.render().expect("renders").contains("oldest_unmarked"));
}
