//! What goes wrong between two steps.

use rand::RngExt;

use super::Simulation;
use super::store::{Object, Op};
use crate::engine::event::Input;
use crate::engine::lane::Lane;

impl Simulation {
    pub(super) fn fault(&mut self) {
        if self.chance(self.weights.crash) {
            let id = self.rng.random_range(0..2);
            self.note(|_| format!("process {id} crashes"));
            self.stats.crashes += 1;
            self.processes[id].forget();
            if id == self.owner {
                let next = self.rng.random_range(0..2);
                self.assign(next);
            }
        }
        if self.chance(self.weights.rebalance) {
            self.rebalance();
        }
        if self.chance(self.weights.freeze) {
            let id = self.rng.random_range(0..2);
            self.processes[id].frozen = !self.processes[id].frozen;
            let frozen = self.processes[id].frozen;
            self.note(|_| format!("process {id} is {}", if frozen { "frozen" } else { "awake" }));
            if frozen && id == self.owner && self.rng.random_bool(0.7) {
                self.assign(1 - id);
            }
        }
        // A zombie learns of its loss at last.
        let zombie = 1 - self.owner;
        if self.chance(self.weights.unaware) && !self.processes[zombie].frozen && self.processes[zombie].lane.is_some()
        {
            self.note(|_| format!("process {zombie} drops the lane that it has lost"));
            self.processes[zombie].forget();
        }
        if self.chance(self.weights.compact) {
            self.compact();
        }
    }

    /// The partition moves: after a handover, or over the head of an owner that has not noticed.
    fn rebalance(&mut self) {
        let (from, to) = (self.owner, 1 - self.owner);
        if self.rng.random_bool(0.5) && !self.processes[from].frozen {
            self.note(|_| format!("process {from} hands over"));
            self.processes[from].tell(self.now, Input::HandOver);
            self.act(from);
            for _ in 0..self.rng.random_range(0..20) {
                if self.processes[from].lane.as_ref().is_none_or(Lane::is_handed_over) {
                    break;
                }
                self.tick(100);
                self.progress_network();
                self.act(from);
            }
            self.processes[from].forget();
        }
        self.assign(to);
    }

    /// A downstream job compacts the published files of a close: allowed a stated time after, so not while somebody publishes it.
    fn compact(&mut self) {
        let objects = &self.store.objects;
        let receipts = objects.iter().filter_map(|(key, object)| match object {
            Object::Receipt { files } => Some((key.clone(), files.clone())),
            Object::Entry { .. } | Object::File { .. } | Object::ClosedThrough => None,
        });
        let receipts: Vec<(String, Vec<(String, u32)>)> =
            receipts.filter(|(_, files)| files.iter().any(|(key, _)| objects.contains_key(key))).collect();
        if receipts.is_empty() {
            return;
        }
        let (receipt, files) = &receipts[self.rng.random_range(0..receipts.len())];
        let under_way = self.processes.iter().any(|process| process.is_publishing(receipt))
            || self.network.iter().any(|request| match &request.op {
                Op::Create { key, .. } => files.iter().any(|(file, _)| file == key),
                Op::ListEntries { .. } | Op::Get { .. } | Op::ReceiptsExist | Op::Delete { .. } | Op::Commit { .. } => {
                    false
                }
            });
        if under_way {
            return;
        }
        self.note(|_| format!("a downstream job compacts {receipt}"));
        for (key, _) in files {
            if let Some(Object::File { rows, .. }) = self.store.objects.remove(key) {
                self.store.compacted.extend(rows);
            }
        }
    }
}
