//! Twenty thousand mutated messages in every test run; `make mutate N=1000000` fires more.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod rig;

use bellwire::sip::endpoint::EndpointStats;
use rig::Range;

#[test]
fn mutated_messages_leave_nothing_and_options_is_answered() {
    let mut range = Range::new([9; 32]);
    range.fire(20_000);
    println!("{:?}", range.tally);
    assert_eq!(range.tally.messages, 20_000);
    assert_eq!(range.tally.probes, 40);
    // They are worth something only if they get past the parser.
    assert!(range.tally.answered > 1000, "{:?}", range.tally);
    assert!(range.tally.sessions > 10, "{:?}", range.tally);
    assert_eq!(range.settle(), EndpointStats::default());
}
