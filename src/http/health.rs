//! Whether the process lives, and whether it does its job.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the probes are told. Begins alive, and not ready because it is starting.
#[derive(Debug)]
pub struct Health(Mutex<State>);

#[derive(Debug)]
struct State {
    dead: Option<String>,
    not_ready: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        Self(Mutex::new(State { dead: None, not_ready: Some("starting".to_owned()) }))
    }
}

impl Health {
    /// Says that the process has joined its group and serves.
    pub fn set_ready(&self) {
        self.state().not_ready = None;
    }

    /// Says why the process does not serve for now.
    pub fn set_not_ready(&self, why: impl Into<String>) {
        self.state().not_ready = Some(why.into());
    }

    /// Says why only a restart can help. The first reason stays.
    pub fn set_dead(&self, reason: impl Into<String>) {
        self.state().dead.get_or_insert_with(|| reason.into());
    }

    /// Whether a restart is not called for.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.why_dead().is_none()
    }

    /// Whether the process serves.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.why_not_ready().is_none()
    }

    /// Returns why a restart is called for, if it is.
    #[must_use]
    pub fn why_dead(&self) -> Option<String> {
        self.state().dead.clone()
    }

    /// Returns why the process does not serve, if it does not; a dead one never does.
    #[must_use]
    pub fn why_not_ready(&self) -> Option<String> {
        let state = self.state();
        state.dead.clone().or_else(|| state.not_ready.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_before_it_is_ready() {
        let health = Health::default();
        assert!(health.is_alive());
        assert_eq!(health.why_not_ready().as_deref(), Some("starting"));
        health.set_ready();
        assert!(health.is_ready());
    }

    #[test]
    fn a_process_may_stop_being_ready_and_become_it_again() {
        let health = Health::default();
        health.set_ready();
        health.set_not_ready("leaving the group");
        assert_eq!(health.why_not_ready().as_deref(), Some("leaving the group"));
        health.set_ready();
        assert!(health.is_ready());
    }

    #[test]
    fn death_is_final_and_keeps_its_first_reason() {
        let health = Health::default();
        health.set_dead("fenced");
        health.set_dead("the poll thread has ended");
        health.set_ready();
        assert!(!health.is_ready());
        assert_eq!(health.why_dead().as_deref(), Some("fenced"));
    }
}
