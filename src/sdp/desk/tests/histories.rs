//! Descriptions over the life of a call: versions, m-lines, numbers, holds.

use super::*;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn version(description: &str) -> u64 {
    let line = description.lines().find(|line| line.starts_with("o=")).unwrap();
    line.split(' ').nth(2).unwrap().parse().unwrap()
}

fn media_lines(description: &str) -> Vec<&str> {
    description.lines().filter(|line| line.starts_with("m=")).collect()
}

#[test]
fn the_version_grows_only_with_the_description() {
    let mut ours = desk(&local(), 1);
    let first = text(ours.offer());
    assert_eq!(version(&first), 3);
    assert_eq!(text(ours.offer()), first);
    ours.accept(&peer("m=audio 4000 RTP/AVP 8\n")).unwrap();
    assert_eq!(text(ours.offer()), first, "a session refresh says nothing new");
    ours.hold(true);
    let held = text(ours.offer());
    assert_eq!((version(&held), text(ours.offer())), (4, held.clone()));
    assert!(held.contains("a=sendonly"));
    ours.hold(false);
    assert_eq!(version(&text(ours.offer())), 5);
    ours.local_mut().address = IpAddr::from([192, 0, 2, 77]);
    let moved = text(ours.offer());
    assert_eq!(version(&moved), 6);
    assert!(moved.contains("c=IN IP4 192.0.2.77"));
    ours.lock_codec();
    let locked = text(ours.offer());
    assert_eq!(version(&locked), 7);
    assert!(locked.contains("m=audio 20000 RTP/AVP 8 101\r\n"));
}

#[test]
fn a_repeated_offer_gets_the_same_answer() {
    let mut ours = desk(&local(), 1);
    let lines = "m=audio 4000 RTP/AVP 0 8 96\na=rtpmap:96 telephone-event/8000\n";
    let (first, agreed) = ours.answer(&peer(lines)).unwrap();
    for _ in 0..5 {
        assert_eq!(ours.answer(&peer(lines)).unwrap(), (first.clone(), agreed.clone()));
    }
    let (held, agreed) = ours.answer(&peer(&format!("{lines}a=sendonly\n"))).unwrap();
    assert_eq!(version(&text(held)), 4);
    assert!(!agreed.direction.send && agreed.direction.receive);
    assert_eq!(version(&text(ours.answer(&peer(lines)).unwrap().0)), 5);
}

#[test]
fn a_refused_offer_leaves_all_as_it_was() {
    let mut ours = desk(&local(), 1);
    let offer = peer("m=audio 4000 RTP/AVP 0\n");
    let (first, _) = ours.answer(&offer).unwrap();
    for bad in ["", "m=audio 4000 RTP/AVP 18\n", "m=video 4 RTP/AVP 99\nm=image 5 udptl t38\n"] {
        assert!(ours.answer(&peer(bad)).is_err());
    }
    assert_eq!(ours.answer(&offer).unwrap().0, first);
}

#[test]
fn offers_of_ours_keep_every_m_line() {
    let mut ours = desk(&local(), 1);
    let lines = "m=image 6000 udptl t38\nm=audio 4000 RTP/AVP 0\nm=video 5000 RTP/AVP 96 97\n";
    ours.answer(&peer(lines)).unwrap();
    let again = text(ours.offer());
    let want = ["m=image 0 udptl t38", "m=audio 20000 RTP/AVP 0 8 101", "m=video 0 RTP/AVP 96 97"];
    assert_eq!(media_lines(&again), want);
    // The peer adds one; its place is kept, and ours too.
    ours.answer(&peer(&format!("{lines}m=audio 4004 RTP/AVP 0\n"))).unwrap();
    assert_eq!(media_lines(&text(ours.offer())).len(), 4);
    let answer = "m=image 0 udptl t38\nm=audio 4000 RTP/AVP 8\nm=video 0 RTP/AVP 96\n\
                  m=audio 0 RTP/AVP 0\n";
    assert_eq!(ours.accept(&peer(answer)).unwrap().codec, CodecId::Pcma);
}

#[test]
fn the_stream_in_use_stays_the_one_in_use() {
    let mut ours = desk(&local(), 1);
    ours.answer(&peer("m=audio 0 RTP/AVP 0\nm=audio 4002 RTP/AVP 0\n")).unwrap();
    let both = peer("m=audio 4000 RTP/AVP 0\nm=audio 4002 RTP/AVP 0\n");
    assert_eq!(ours.answer(&both).unwrap().1.remote_rtp.port(), 4002);
}

#[test]
fn payload_types_keep_their_meaning() {
    let mut ours = desk(&local(), 1);
    let lines = "m=audio 4000 RTP/AVP 120 101 99\na=rtpmap:120 PCMA/8000\n\
                 a=rtpmap:101 speex/8000\na=rtpmap:99 telephone-event/8000\n";
    let (_, agreed) = ours.answer(&peer(lines)).unwrap();
    assert_eq!((agreed.payload_type, agreed.telephone_event), (120, Some(99)));
    let again = text(ours.offer());
    assert_eq!(media_lines(&again), ["m=audio 20000 RTP/AVP 0 120 99"]);
    assert!(again.contains("a=rtpmap:120 PCMA/8000") && !again.contains("a=rtpmap:101"));
    // The other side may use numbers of its own; it must send by ours.
    let lines = "m=audio 4000 RTP/AVP 8 111\na=rtpmap:111 telephone-event/8000\n";
    let agreed = ours.accept(&peer(lines)).unwrap();
    assert_eq!((agreed.payload_type, agreed.telephone_event), (8, Some(111)));
    assert_eq!(agreed.accepts.audio[0], Some((120, CodecId::Pcma)));
    assert_eq!(agreed.accepts.event, Some(99));
}

#[test]
fn an_answer_may_leave_out_what_a_number_of_ours_means() {
    let mut ours = desk(&local(), 1);
    let lines = "m=audio 4000 RTP/AVP 120\na=rtpmap:120 PCMA/8000\n";
    ours.answer(&peer(lines)).unwrap();
    ours.offer();
    let agreed = ours.accept(&peer("m=audio 4 RTP/AVP 120\n")).unwrap();
    assert_eq!((agreed.codec, agreed.payload_type), (CodecId::Pcma, 120));
}

#[test]
fn our_own_order_wins_where_it_is_wanted() {
    let offer = peer("m=audio 4000 RTP/AVP 8 0\n");
    let own = LocalMedia { own_order: true, ..local() };
    assert_eq!(answer(&own, &offer).unwrap().1.codec, CodecId::Pcmu);
    assert_eq!(answer(&local(), &offer).unwrap().1.codec, CodecId::Pcma);
}

#[test]
fn rtcp_is_multiplexed_when_both_say_so() {
    let lines = "m=audio 4000 RTP/AVP 0\na=rtcp:4009\n";
    let muxed = format!("{lines}a=rtcp-mux\n");
    let (said, agreed) = answered(&muxed);
    assert!(agreed.rtcp_mux && said.contains("a=rtcp-mux\r\n") && !said.contains("a=rtcp:"));
    assert_eq!(agreed.remote_rtcp, agreed.remote_rtp);
    let (said, agreed) = answered(lines);
    assert!(!agreed.rtcp_mux && !said.contains("rtcp-mux"));
    assert_eq!(agreed.remote_rtcp.port(), 4009);
    let offering = LocalMedia { rtcp_mux: true, rtcp_port: 30_000, ..local() };
    let said = text(offer(&offering));
    assert!(said.contains("a=rtcp-mux\r\n") && said.contains("a=rtcp:30000\r\n"), "{said}");
    assert!(accept(&offering, &peer(&muxed)).unwrap().rtcp_mux);
    assert!(!accept(&offering, &peer(lines)).unwrap().rtcp_mux);
    let agreed = accept(&local(), &peer(&muxed)).unwrap();
    assert_eq!((agreed.rtcp_mux, agreed.remote_rtcp.port()), (false, 4009), "uninvited");
}

#[test]
fn several_forks_are_accepted_in_turn() {
    let mut ours = desk(&local(), 1);
    ours.offer();
    let forks = ["4000 RTP/AVP 8", "5000 RTP/AVP 0", "4000 RTP/AVP 8"];
    let port = |fork| ours.accept(&peer(&format!("m=audio {fork}\n"))).unwrap().remote_rtp.port();
    assert_eq!(forks.map(port), [4000, 5000, 4000]);
}

#[cfg(feature = "opus")]
#[test]
fn opus_brings_its_own_clock_channels_and_events() {
    let wide = LocalMedia { codecs: vec![CodecId::Opus, CodecId::Pcma], ..local() };
    let offered = text(offer(&wide));
    assert!(offered.contains("m=audio 20000 RTP/AVP 107 8 110 101\r\n"), "{offered}");
    assert!(offered.contains("a=rtpmap:107 opus/48000/2\r\n"));
    assert!(offered.contains("a=rtpmap:110 telephone-event/48000\r\n"));
    assert!(offered.contains("a=rtpmap:101 telephone-event/8000\r\n"));
    let lines = "m=audio 4000 RTP/AVP 96 8 97 98\na=rtpmap:96 opus/48000/2\n\
                 a=rtpmap:97 telephone-event/8000\na=rtpmap:98 telephone-event/48000\n\
                 a=ptime:30\na=maxptime:50\n";
    let (said, agreed) = answer(&wide, &peer(lines)).unwrap();
    assert_eq!((agreed.codec, agreed.payload_type), (CodecId::Opus, 96));
    assert_eq!(agreed.telephone_event, Some(98));
    assert_eq!(agreed.ptime, Duration::from_millis(20), "no frame of Opus has 30");
    assert!(text(said).contains("m=audio 20000 RTP/AVP 96 98\r\n"));
    let narrow = LocalMedia { codecs: vec![CodecId::Pcma], ..local() };
    assert_eq!(answer(&narrow, &peer(lines)).unwrap().1.telephone_event, Some(97));
    let only = "m=audio 4000 RTP/AVP 96 97\na=rtpmap:96 opus/48000\n\
                a=rtpmap:97 telephone-event/8000\n";
    assert_eq!(answer(&wide, &peer(only)).unwrap().1.telephone_event, None, "another clock");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Any history of two desks: both agree, versions grow with the text and only then, and
    /// directions mirror.
    #[test]
    fn two_desks_agree_through_any_history(
        steps in prop::collection::vec((any::<bool>(), 0..7_u8), 1..12),
        policies in (0..3_usize, 0..3_usize),
    ) {
        let policy = |n| [SrtpPolicy::Off, SrtpPolicy::Preferred, SrtpPolicy::Required][n];
        let made = |host: u8, srtp| LocalMedia {
            address: IpAddr::from([192, 0, 2, host]),
            codecs: vec![CodecId::Pcmu, CodecId::Pcma, CodecId::G722],
            srtp,
            ..local()
        };
        let mut desks =
            [desk(&made(1, policy(policies.0)), 1), desk(&made(2, policy(policies.1)), 50)];
        let mut said: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
        for (second, what) in steps {
            let (from, to) = (usize::from(second), usize::from(!second));
            match what {
                0 => desks[from].hold(true),
                1 => desks[from].hold(false),
                2 => desks[from].local_mut().codecs.reverse(),
                3 => desks[from].lock_codec(),
                4 => desks[from].local_mut().rtcp_mux ^= true,
                5 => desks[from].rekey(),
                _ => {}
            }
            let offer = desks[from].offer();
            prop_assert_eq!(&desks[from].offer(), &offer);
            said[from].push(offer.clone());
            let Ok((answer, theirs)) = desks[to].answer(&offer) else { continue };
            said[to].push(answer.clone());
            let ours = desks[from].accept(&answer).unwrap();
            prop_assert_eq!((ours.codec, ours.payload_type), (theirs.codec, theirs.payload_type));
            prop_assert_eq!(ours.direction, theirs.direction.mirrored());
            prop_assert_eq!(ours.rtcp_mux, theirs.rtcp_mux);
            prop_assert_eq!(ours.telephone_event, theirs.telephone_event);
            match (ours.srtp, theirs.srtp) {
                (Some(a), Some(b)) => prop_assert!(a.local == b.remote && a.remote == b.local),
                (a, b) => prop_assert!(a.is_none() && b.is_none()),
            }
        }
        for side in said {
            for pair in side.windows(2) {
                let (before, after) = (text(pair[0].clone()), text(pair[1].clone()));
                let grown = u64::from(before != after);
                prop_assert_eq!(version(&after), version(&before) + grown);
            }
        }
    }
}
