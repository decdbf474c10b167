//! Named points of the protocol at which the fault suite has this process killed, frozen, or held up.
//!
//! With the feature `fail-points`, which no release has, the environment variable `FAILPOINTS` says what happens at which pass:
//! `append.before=2*off->1*return(kill)` kills the process when it is about to put its third entry (the syntax is that of the crate
//! `fail`). Without the feature a point expands to nothing.

/// Passes a point.
macro_rules! fail_point {
    ($name:literal) => {
        #[cfg(feature = "fail-points")]
        $crate::app::fail_point::pass($name);
    };
}
pub(super) use fail_point;

#[cfg(feature = "fail-points")]
pub(crate) use self::armed::{broken_rule, is_lost, pass, wall_clock_jump};

#[cfg(feature = "fail-points")]
mod armed {
    use std::time::Duration;

    use signal_hook::consts::{SIGKILL, SIGSTOP};

    use crate::engine::mutation::Mutation;

    /// Meets the fate that waits at a point, if one does.
    pub(crate) fn pass(point: &str) {
        fail::fail_point!(point, |fate: Option<String>| meet(point, &fate.unwrap_or_default()));
    }

    /// `kill` or `stop`, now or so many milliseconds later: what runs beside goes on until then. `hold`: this thread stays here for ever, and
    /// everything else goes on.
    fn meet(point: &str, fate: &str) {
        let (word, later_ms) = fate.split_once(':').map_or((fate, None), |(word, ms)| (word, ms.parse().ok()));
        let signal = match word {
            "kill" => SIGKILL,
            "stop" => SIGSTOP,
            "hold" => return stay(point),
            _ => return tracing::error!(point, fate, "a fail point has no such fate"),
        };
        std::thread::sleep(Duration::from_millis(later_ms.unwrap_or(0)));
        tracing::warn!(point, fate, "a fail point is passed");
        if let Err(error) = signal_hook::low_level::raise(signal) {
            tracing::error!(point, fate, %error, "a fail point cannot be met");
        }
    }

    fn stay(point: &str) {
        tracing::warn!(point, "a fail point holds this thread");
        loop {
            std::thread::park();
        }
    }

    /// Whether what would be sent at a point is lost on its way.
    pub(crate) fn is_lost(point: &str) -> bool {
        said(point).as_deref() == Some("lost")
    }

    /// Returns the rule of the protocol that is to be broken, so that the suite can show that it notices.
    pub(crate) fn broken_rule() -> Mutation {
        match said("rule.broken").as_deref() {
            Some("publish-before-append") => Mutation::PublishBeforeAppend,
            Some("collect-without-closes") => Mutation::CollectWithoutCloses,
            Some("collect-unlisted") => Mutation::CollectUnchecked,
            _ => Mutation::None,
        }
    }

    /// Returns how far the wall clock has jumped ahead.
    pub(crate) fn wall_clock_jump() -> Duration {
        said("clock.ahead_s").and_then(|text| text.parse().ok()).map_or(Duration::ZERO, Duration::from_secs)
    }

    fn said(point: &str) -> Option<String> {
        fail::fail_point!(point, |said| said);
        None
    }
}
