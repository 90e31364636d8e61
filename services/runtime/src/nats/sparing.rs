//! Log lines about what comes from outside, without giving outsiders the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines of a kind per [`PERIOD`].
const LINES: u64 = 20;
const PERIOD: Duration = Duration::from_mins(1);

/// Lets [`LINES`] lines per minute through. What is held back is counted and told with the next line.
#[derive(Debug, Default)]
pub struct Sparing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    lines: u64,
    held_back: u64,
}

impl Sparing {
    /// `Some` when a line may be written: it holds how many like it were held back before.
    pub fn turn(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.began.is_none_or(|began| now.duration_since(began) >= PERIOD) {
            state.began = Some(now);
            state.lines = 0;
        }
        if state.lines == LINES {
            state.held_back += 1;
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_leaves_some_lines_and_its_size() {
        let sparing = Sparing::default();
        assert_eq!((0..1000).filter_map(|_| sparing.turn()).collect::<Vec<_>>(), [0; 20]);
        tokio::time::advance(PERIOD).await;
        assert_eq!(sparing.turn(), Some(980));
        assert_eq!(sparing.turn(), Some(0));
    }
}
