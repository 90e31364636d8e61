//! How much may be sent now: the server's credit against what is under way (spec integrations.md 9.8).

use std::collections::{BTreeMap, VecDeque};

use cc_proto::scheduler::v1::Credit;

/// Credit and what was sent and is not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Window {
    credit: Credit,
    /// By cluster, sequence number and size of each event under way.
    sent: BTreeMap<String, VecDeque<(u64, usize)>>,
    events: usize,
    bytes: usize,
    /// The next event needs more room than there is.
    full: bool,
}

/// Room for more: at least one event, and so many bytes (one event may be larger when nothing is under way).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) events: usize,
    pub(super) bytes: usize,
    /// Nothing is under way: one event may go however large it is, or it would never go.
    pub(super) idle: bool,
}

impl Window {
    /// A new credit replaces the former; it counts everything under way.
    pub(super) fn grant(&mut self, credit: Credit) {
        self.full = false;
        self.credit = credit;
    }

    /// What may be sent now; `None`: nothing. A credit of 0 bytes limits the number of events only.
    pub(super) fn room(&self) -> Option<Room> {
        let events = (self.credit.events as usize).checked_sub(self.events).filter(|&events| events > 0)?;
        let bytes = match self.credit.bytes {
            0 => usize::MAX,
            bytes => (bytes as usize).saturating_sub(self.bytes),
        };
        let idle = self.events == 0;
        if self.full && !idle {
            return None;
        }
        (bytes > 0 || idle).then_some(Room { events, bytes, idle })
    }

    /// The next event is larger than the room: nothing goes until something has come home.
    pub(super) fn fill(&mut self) {
        self.full = true;
    }

    /// An event goes out.
    pub(super) fn sent(&mut self, cluster: &str, seq: u64, size: usize) {
        self.sent.entry(cluster.to_owned()).or_default().push_back((seq, size));
        self.events += 1;
        self.bytes += size;
    }

    /// Everything of a cluster up to `durable` has come home.
    pub(super) fn acknowledged(&mut self, cluster: &str, durable: u64) {
        let Some(sent) = self.sent.get_mut(cluster) else { return };
        while let Some(&(seq, size)) = sent.front()
            && seq <= durable
        {
            sent.pop_front();
            self.events -= 1;
            self.bytes -= size;
            self.full = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(events: u32, bytes: u32) -> Window {
        let mut window = Window::default();
        window.grant(Credit { events, bytes, retry_after_ms: 0 });
        window
    }

    #[test]
    fn nothing_is_sent_before_the_first_credit() {
        assert_eq!(Window::default().room(), None);
        assert_eq!(window(0, 1000).room(), None);
    }

    #[test]
    fn what_is_under_way_counts_until_it_is_acknowledged() {
        let mut window = window(3, 100);
        window.sent("a", 1, 40);
        window.sent("b", 1, 40);
        assert_eq!(window.room(), Some(Room { events: 1, bytes: 20, idle: false }));
        window.sent("a", 2, 20);
        assert_eq!(window.room(), None);
        window.acknowledged("a", 1);
        assert_eq!(window.room(), Some(Room { events: 1, bytes: 40, idle: false }));
        window.acknowledged("a", 1);
        window.acknowledged("c", 9);
        assert_eq!(window.events, 2);
        window.acknowledged("a", 9);
        window.acknowledged("b", 9);
        assert_eq!(window.room(), Some(Room { events: 3, bytes: 100, idle: true }));
    }

    #[test]
    fn a_smaller_credit_stops_until_enough_has_come_home() {
        let mut window = window(10, 0);
        for seq in 1..=5 {
            window.sent("a", seq, 1000);
        }
        window.grant(Credit { events: 1, bytes: 0, retry_after_ms: 100 });
        assert_eq!(window.room(), None);
        window.acknowledged("a", 4);
        assert_eq!(window.room(), None);
        window.acknowledged("a", 5);
        assert_eq!(window.room(), Some(Room { events: 1, bytes: usize::MAX, idle: true }));
    }

    #[test]
    fn a_full_window_opens_with_the_next_acknowledgement() {
        let mut window = window(10, 100);
        window.sent("a", 1, 30);
        window.sent("a", 2, 30);
        window.fill();
        assert_eq!(window.room(), None);
        window.acknowledged("a", 1);
        assert_eq!(window.room(), Some(Room { events: 9, bytes: 70, idle: false }));
    }

    #[test]
    fn an_event_larger_than_the_credit_goes_when_nothing_is_under_way() {
        let mut window = window(10, 10);
        assert!(window.room().is_some_and(|room| room.idle));
        window.sent("a", 1, 5000);
        assert_eq!(window.room(), None);
        window.acknowledged("a", 1);
        assert!(window.room().is_some());
    }
}
