use super::*;

fn query(text: &str) -> Result<StreamOptions, QueryProblem> {
    StreamOptions::from_query::<&str>(&pairs(text), &[])
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let split = |pair: &str| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    text.split('&').filter_map(split).collect()
}

fn settings(options: &StreamOptions) -> Settings {
    Settings::resolve(options, 16_000, 60_000)
}

#[test]
fn the_bare_url_is_text_only_and_sniffs_16_khz() {
    let bare = settings(&query("").unwrap());
    assert_eq!((bare.protocol, bare.listen), (Protocol::Bare, Listen::None));
    assert_eq!((bare.format, bare.rate), (LiveFormat::Auto, 16_000));
    let stated = settings(&query("rate=8000&format=mulaw&ticket=x").unwrap());
    assert_eq!((stated.protocol, stated.rate), (Protocol::Bare, 8000));
}

#[test]
fn anything_of_the_full_protocol_selects_it() {
    for text in ["listen=caller", "out_rate=8000", "protocol=native", "frame_ms=40"] {
        let chosen = settings(&query(text).unwrap());
        assert_eq!(chosen.protocol, Protocol::Native, "{text}");
        assert_eq!(chosen.listen, Listen::Caller, "{text}");
    }
    let offered = StreamOptions::from_query(&[], &["x", SUBPROTOCOL]).unwrap();
    assert_eq!(offered.protocol, Some(Protocol::Native));
}

#[test]
fn the_session_of_the_handbook_resolves() {
    let asked = query("rate=24000&out_rate=16000&listen=caller&transcripts=partial").unwrap();
    let chosen = settings(&asked);
    assert_eq!((chosen.rate, chosen.out_rate, chosen.frame_ms), (24_000, 16_000, 20));
    assert_eq!(chosen.transcripts, Transcripts::Partial);
}

#[test]
fn bad_and_later_parameters_are_told_apart() {
    let cases = [
        ("rate=11025", QueryBlame::Invalid, "8000, 16000, 22050, 24000, 32000, 44100 or 48000"),
        ("rate=", QueryBlame::Invalid, "must be"),
        ("frame_ms=30", QueryBlame::Invalid, "10, 20, 40, 60 or 100"),
        ("buffer_ms=600001", QueryBlame::Invalid, "100 to 600000"),
        ("listen=everything", QueryBlame::Invalid, "both or stereo"),
        ("format=flac", QueryBlame::Invalid, "mp3, wav"),
        ("protocol=exotel", QueryBlame::Unsupported, "native, cawme"),
        ("protocol=cawme&listen=caller", QueryBlame::Invalid, "text only"),
        ("envelope=xml", QueryBlame::Invalid, "binary or json"),
        ("events=all", QueryBlame::Invalid, "call_event"),
        ("playout=dead", QueryBlame::Invalid, "queue or live"),
        ("jitter=none", QueryBlame::Invalid, "asap or paced"),
        ("agc=yes", QueryBlame::Invalid, "on or off"),
        ("protocol=cawme&out_agc=on", QueryBlame::Invalid, "text only"),
        ("rate=8000&rate=8000", QueryBlame::Invalid, "twice"),
        ("stats_ms=999", QueryBlame::Invalid, "1000 to 600000"),
        ("colour=red", QueryBlame::Invalid, "unknown"),
    ];
    for (text, blame, part) in cases {
        let problem = query(text).unwrap_err();
        assert_eq!(problem.blame, blame, "{text}");
        assert!(problem.detail.contains(part), "{text}: {}", problem.detail);
    }
}

#[test]
fn live_sound_has_a_short_queue_and_paced_sound_its_bounds() {
    let chosen = settings(&query("playout=live&jitter=paced").unwrap());
    let timing = Timing::default();
    assert_eq!((chosen.live, chosen.buffer_ms), (Some(timing.live_lead), 500));
    assert_eq!(chosen.pace, Some(timing.pace));
    let stated = settings(&query("playout=live&buffer_ms=2000").unwrap());
    assert_eq!((stated.buffer_ms, stated.pace), (2000, None));
    let timing = Timing { jitter: Jitter::Paced, ..timing };
    let of = |text| Settings::timed(&query(text).unwrap(), 8000, 60_000, &timing);
    assert_eq!((of("").pace, of("jitter=asap").pace), (Some(timing.pace), None));
    assert_eq!((of("").protocol, of("").live), (Protocol::Bare, None));
}

#[test]
fn the_upgrade_wins_over_the_create_request() {
    let call = query("rate=24000&frame_ms=60").unwrap();
    let both = query("rate=8000").unwrap().or(&call);
    assert_eq!((both.rate, both.frame_ms), (Some(8000), Some(60)));
}

#[test]
fn the_rate_toward_the_client_follows_the_rate_from_it() {
    for (rate, out) in [(8000, 8000), (16_000, 16_000), (22_050, 16_000), (48_000, 24_000)] {
        let asked = query(&format!("protocol=native&rate={rate}")).unwrap();
        assert_eq!(settings(&asked).out_rate, out);
    }
}

#[test]
fn opus_is_taken_where_it_is_built_in() {
    for format in ["opus", "ogg"] {
        let asked = query(&format!("format={format}"));
        let taken = asked.map(|options| options.format.is_some()).map_err(|problem| problem.blame);
        let hoped = if cfg!(feature = "opus") { Ok(true) } else { Err(QueryBlame::Unsupported) };
        assert_eq!(taken, hoped);
    }
}
