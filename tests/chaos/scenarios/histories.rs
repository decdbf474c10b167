//! Histories in which a broken rule loses or doubles a record, each time: real processes, and each fault at the very step where it hurts.
//!
//! An epoch takes two seconds of event time and is complete one second later: a record at 3,500 ms closes the first. When a history begins, entry 2
//! holds one record, entry 3 none, and nothing is left to say.

use super::tale::Tale;

/// An instance that has lost the partition does not hear of it: the callback that would drop its lane stands still.
const DEAF: &str = "lose.before=return(hold)";

/// The first instance freezes when it is about to put entry 4, with one record. The second puts its own entry 4, with two, which closes the
/// first epoch; it publishes that, and dies before it says so. Then the first goes on. Without the fence it takes the place of what was published, and
/// the epoch is closed and published once more.
pub(super) fn late_for_its_entry(tale: &mut Tale<'_>) {
    tale.prologue(500);
    let mut first = tale.start(&[], &[DEAF, "append.before=1*return(stop)"]);
    tale.produce(&[600]);
    tale.until_frozen(&mut first, "the first, about to put entry 4");
    tale.produce(&[3_500]);
    let second = tale.start(&[], &["receipt.after=1*return(kill)"]);
    tale.until_killed(second, "the second, which has published what its entry 4 closes");
    let published = tale.entry(4).expect("the second has put entry 4");
    first.wake();
    tale.until_behind_or(&mut first, |tale| tale.entry(4).is_some_and(|now| now != published));
    tale.kill(first, "the first");
}

/// An instance finds the partition idle, and closes the epoch by entry 4; it stands still before it puts that, and dies. What comes next is
/// another entry 4, with a record more, and entry 5 closes the epoch. If the close of the first entry 4 was published, it is published twice.
pub(super) fn dead_before_its_entry(tale: &mut Tale<'_>) {
    tale.prologue(500);
    let mut idle = tale.start(&["--idle-timeout", "1s"], &["append.closing=1*return(hold)"]);
    tale.until_held(&mut idle, "an idle instance, about to put the closing entry 4");
    tale.give_time_to(Tale::has_published);
    tale.kill(idle, "the idle instance");
    tale.produce(&[600]);
    let mut next = tale.start(&[], &[]);
    tale.until_committed();
    next.stop();
}

/// Entry 4 closes the epoch whose row is in entry 2. The instance stands still before it publishes, and dies. Entry 2 must still be there.
pub(super) fn dead_before_its_publication(tale: &mut Tale<'_>) {
    tale.prologue(500);
    let mut one = tale.start(&["--collect-grace", "0s"], &["publish.before=1*return(hold)"]);
    tale.produce(&[3_500]);
    tale.until_held(&mut one, "an instance, about to publish what entry 4 closes");
    tale.give_time_to(|tale| !tale.has_entry(2));
    tale.kill(one, "the instance");
}

/// Entries 2 and 4 hold a row each of the second epoch. One instance freezes when it is about to put entry 5, with a row of the first epoch, and
/// another when it is about to put an entry 5 that has one of the second, too, and takes over the rows of entries 2 and 4. The one goes on, and its
/// entry 5 is put. A third instance takes over nothing; the first epoch is closed and published, and entry 5 collected: a hole. Then the other
/// goes on, and is told that its entry 5 was created. It is behind all the same; if it does not look, it deletes entries 2 and 4, which the newest
/// entry needs.
pub(super) fn created_in_the_hole(tale: &mut Tale<'_>) {
    tale.prologue(2_500);
    let mut before = tale.start(&["--merge-entries", "99"], &[]);
    tale.produce(&[2_600]);
    tale.until_committed();
    before.stop();
    assert_eq!(tale.newest(), 4);

    let plain = ["--merge-entries", "99", "--collect-grace", "0s", "--commit-interval", "1ms"];
    let frozen = [DEAF, "append.before=1*return(stop)"];
    tale.produce(&[700]);
    let mut one = tale.start(&plain, &frozen);
    tale.until_frozen(&mut one, "one instance, about to put an entry 5 that holds a row of the first epoch");

    // It has all records in one entry.
    let merging = ["--merge-entries", "2", "--collect-grace", "0s", "--commit-interval", "3s"];
    tale.produce(&[2_700]);
    let mut other = tale.start(&merging, &frozen);
    tale.until_frozen(&mut other, "another, about to put an entry 5 that takes over what entries 2 and 4 hold");

    one.wake();
    tale.until_it(&mut one, "entry 5 is there", |tale| tale.has_entry(5));
    tale.kill(one, "the one");
    let mut third = tale.start(&plain, &[]);
    tale.until_committed();
    tale.produce(&[3_500]);
    tale.until_it(&mut third, "entry 5 is collected", |tale| tale.newest() > 5 && !tale.has_entry(5));
    assert!(tale.has_entry(2) && tale.has_entry(4), "what the open epoch needs is kept");

    other.wake();
    tale.until_behind_or(&mut other, |tale| !tale.has_entry(2) && !tale.has_entry(4));
    tale.kill(other, "the other");
    tale.produce(&[5_500]);
    tale.until_committed();
    tale.kill(third, "the third");
}
