//! The store is full, forbidden, slow, failing, or says nothing about what it did; then it is mended, and the instances go on by themselves.

use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rand::RngExt;

use super::End;
use crate::{
    common::wait_for,
    instance::{Instance, PATIENCE},
    stage::{Stage, Start, User},
};

/// Whoever it is, it is not root.
const NOBODY: u32 = 65_534;

fn two_at_work(stage: &mut Stage) -> Vec<Instance> {
    stage.produce(&[]);
    two(stage, &Start::default())
}

fn two(stage: &Stage, start: &Start<'_>) -> Vec<Instance> {
    let mut members: Vec<Instance> = (0..2).map(|_| stage.start_with(start)).collect();
    members.iter_mut().for_each(Instance::wait_until_it_works);
    members
}

/// Waits until an append has been in vain.
fn until_it_hurts(members: &mut [Instance]) {
    wait_for("an append is in vain", PATIENCE, || {
        let in_vain = |member: &mut Instance| {
            assert!(member.process.ended().is_none(), "an instance ended: {}", member.last_words());
            member.metric("append_no_answer_total").unwrap_or(0.0) > 0.0
        };
        members.iter_mut().any(in_vain).then_some(())
    });
}

/// A folder on a small disk of its own; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(on: &Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(on).output();
        mounted.is_ok_and(|done| done.status.success()).then(|| Self(on.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: an instance that has not ended yet may still have a file open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// The disk is full, twice, and somebody makes room.
pub(super) fn disk_full(stage: &mut Stage) -> End {
    let Some(_disk) = SmallDisk::mount(&stage.output()) else {
        return End::Skipped("a disk can be mounted only by root, and not in every container".to_owned());
    };
    let mut members = two_at_work(stage);
    for round in 0..2 {
        stage.wait_until_caught_up(Instant::now());
        let ballast = stage.output().join("ballast");
        let mut file = File::create(&ballast).unwrap();
        while file.write_all(&[0; 64 * 1024]).is_ok() {}
        stage.fault(&format!("the disk is full, round {round}"));
        until_it_hurts(&mut members);
        thread::sleep(Duration::from_secs(3));
        drop(file);
        fs::remove_file(&ballast).unwrap();
        stage.wait_until_caught_up(Instant::now());
    }
    End::Judged(stage.finish(members))
}

/// Nobody may write into the lane logs any more, then nobody may publish.
pub(super) fn forbidden(stage: &mut Stage) -> End {
    let output = stage.output();
    if chown(&output, Some(NOBODY), Some(NOBODY)).is_err() {
        return End::Skipped("only root can start instances as somebody else, whom permissions concern".to_owned());
    }
    let start = Start { user: Some(User(NOBODY)), ..Start::default() };
    stage.produce(&[]);
    let mut members = two(stage, &start);
    stage.wait_until_caught_up(Instant::now());
    let control = stage.meta().join("control");
    for partition in 0..stage.partitions {
        permit(&control.join(format!("p{partition}")), 0o500);
    }
    stage.fault("the lane logs may not be written");
    until_it_hurts(&mut members);
    thread::sleep(Duration::from_secs(2));
    for partition in 0..stage.partitions {
        permit(&control.join(format!("p{partition}")), 0o755);
    }
    stage.wait_until_caught_up(Instant::now());

    let files = output.join(&stage.topic);
    wait_for("files are published", PATIENCE, || files.exists().then_some(()));
    permit(&files, 0o000);
    stage.fault("files may not be published");
    wait_for("a publication fails", PATIENCE, || {
        members.iter().any(|member| member.metric("publish_failures_total").unwrap_or(0.0) > 0.0).then_some(())
    });
    thread::sleep(Duration::from_secs(2));
    permit(&files, 0o755);
    stage.wait_until_caught_up(Instant::now());
    End::Judged(stage.finish(members))
}

fn permit(folder: &Path, mode: u32) {
    fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
}

/// Every write takes seconds.
pub(super) fn slow(stage: &mut Stage) -> End {
    let faults: Vec<String> =
        ["put", "copy", "list"].iter().map(|of| format!("store.{of}=40%return(slow:2500)")).collect();
    at_the_mercy_of(stage, &faults, "a store that takes seconds")
}

/// Many requests fail, and nothing is done.
pub(super) fn refusing(stage: &mut Stage) -> End {
    at_the_mercy_of(stage, &everywhere("refuse"), "a store that refuses")
}

/// Many requests fail although the work was done.
pub(super) fn forgetful(stage: &mut Stage) -> End {
    at_the_mercy_of(stage, &everywhere("forget"), "a store that does its work and does not say so")
}

fn everywhere(fate: &str) -> Vec<String> {
    ["put", "get", "list", "delete", "copy"].iter().map(|of| format!("store.{of}=30%return({fate})")).collect()
}

/// Instances with such a store work, die and are replaced; those that come last have a good one.
fn at_the_mercy_of(stage: &mut Stage, fail_points: &[String], what: &str) -> End {
    stage.produce(&[]);
    // The store is tried out at the start, and an instance that cannot use it ends: who runs instances starts it again.
    let start = |stage: &Stage| stage.start_with(&Start { fail_points, ..Start::default() });
    let mut members: Vec<Instance> = (0..2).map(|_| start(stage)).collect();
    stage.fault(&format!("two instances with {what}"));
    let end = Instant::now() + stage.duration;
    let mut next_kill = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
        for member in &mut members {
            if member.process.ended().is_some() {
                *member = start(stage);
            }
        }
        if Instant::now() > next_kill {
            let at = stage.random.random_range(0..members.len());
            members[at].process.kill();
            stage.fault("one of them is killed");
            next_kill = Instant::now() + Duration::from_secs(5);
        }
    }
    for member in &mut members {
        member.process.kill();
        *member = stage.start();
    }
    stage.fault("they are killed; two with a good store take over");
    stage.wait_until_caught_up(Instant::now());
    End::Judged(stage.finish(members))
}

/// What a crash of the machine leaves behind: half an object beside its place, and, on a disk that does not keep its word, half an entry.
/// The first is nothing. The second stops its lane, with words, until the entry is brought back.
pub(super) fn torn(stage: &mut Stage) -> End {
    let mut members = two_at_work(stage);
    stage.wait_until_caught_up(Instant::now());
    for member in members.drain(..) {
        member.kill();
    }
    let newest = stage.entries(1).pop().expect("the lane has entries");
    let whole = fs::read(&newest).unwrap();
    // The name under which the store's client writes before it gives an object its own.
    let number: u64 = newest.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let next = newest.with_file_name(format!("{:020}.entry#1", number + 1));
    fs::write(&next, &whole[..whole.len() / 3]).unwrap();
    stage.fault("half an object lies where the next entry would be written");
    let mut one = stage.start();
    one.wait_until_it_works();
    stage.wait_until_caught_up(Instant::now());
    one.kill();

    let newest = stage.entries(1).pop().expect("the lane has entries");
    let whole = fs::read(&newest).unwrap();
    fs::write(&newest, &whole[..whole.len() / 2]).unwrap();
    stage.fault("the newest entry of partition 1 is torn");
    let mut one = stage.start();
    wait_for("partition 1 is stopped", PATIENCE, || {
        assert!(one.process.ended().is_none(), "the instance ended: {}", one.last_words());
        (one.metric("lanes_stopped") == Some(1.0)).then_some(())
    });
    assert!(one.process.stderr().contains("partition stopped: "), "it says why");
    one.stop();
    fs::write(&newest, &whole).unwrap();
    let last = stage.start();
    stage.wait_until_caught_up(Instant::now());
    End::Judged(stage.finish(vec![last]))
}
