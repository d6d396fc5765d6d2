//! Whole configurations: what is accepted, what is refused, and how it is said.

use super::*;
use std::time::Duration;

/// Every key of the contract, with values that this version can act on.
const EVERYTHING: &str = r#"
[node]
name = "gw1"
data_dir = "/var/lib/bellwire"
public_address = "203.0.113.10"

[api]
listen = "127.0.0.1:8080"
admin_listen = "127.0.0.1:8081"

[[api.key]]
name = "ops"
secret_env = "OPS_KEY"
scopes = ["admin"]
instances = ["*"]

[sip]
listen = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]

[rtp]
address = "127.0.0.1"
ports = "20000-29999"
workers = 0
ptime = "20ms"
dscp = 46
timeout = "30s"
backend = "auto"
pin = false
priority = "normal"

[jitter]
mode = "asap"
hole_wait = "40ms"
hole_wait_min = "20ms"
hole_wait_max = "80ms"
paced_min = "20ms"
paced_start = "40ms"
paced_max = "200ms"

[playout]
buffer = "60s"
high_water = 0.75
low_water = 0.5
level_dbov = -20

[limits]
max_calls = 1000
setup_rate = 100
max_body = "16MiB"
max_audio = "10m"

[[trunk]]
name = "carrier"
proxy = "sip:127.0.0.1:5090"
username = "user"
password_env = "TRUNK_PASSWORD"
realm = "trunk.test"
register = false
sources = ["127.0.0.1/32"]
codecs = ["PCMU", "PCMA"]
dtmf = "auto"
srtp = "off"
session_timer = "1800s"
ping = "30s"
max_calls = 200
max_cps = 20
caller_id = "+15550100"
allow = ["+1", "+44"]
deny = ["+1900"]

[[instance]]
id = "inst_demo"
name = "Demo line"
trunk = "carrier"
max_active_calls = 100
dedupe = "off"

[[route]]
trunk = "carrier"
to = "^answer$"
instance = "inst_demo"
action = "say"
text = "Hello"
voice = "en-US-001"
repeat = 0
ring = "0s"
early_media = false
hangup_after = "0s"

[[engine.tts]]
name = "pico"
kind = "pico"
[[engine.stt]]
name = "vosk"
kind = "vosk"
url = "ws://127.0.0.1:2700"
[[engine.llm]]
name = "local"
kind = "openai-chat"
url = "http://127.0.0.1:11434/v1"
model = "small"
key_env = "LLM_KEY"

[[voice]]
id = "en-US-001"
engine = "pico"
voice = "en-US"

[webhook]
allow_private = false

[log]
level = "info"
format = "json"
"#;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(text: &str, env: &[(&str, &str)], sets: &[&str]) -> Result<Loaded, ConfigErrors> {
    let sets = sets.iter().map(|set| (*set).to_owned()).collect();
    let options = LoadOptions { file: None, env: variables(env), sets };
    Config::parse(Path::new("b.toml"), text, &options, Some("b.toml".into()))
}

/// The findings as lines of text.
fn errors(text: &str) -> Vec<String> {
    let found = load(text, &[], &[]).expect_err("was accepted");
    found.problems.iter().map(ToString::to_string).collect()
}

fn warnings(text: &str) -> Vec<String> {
    let loaded = load(text, &[], &[]).unwrap();
    loaded.warnings.iter().map(ToString::to_string).collect()
}

const SECRETS: &[(&str, &str)] =
    &[("OPS_KEY", "0123456789abcdef"), ("TRUNK_PASSWORD", "5550100"), ("LLM_KEY", "k")];

#[test]
fn every_key_of_the_contract_is_read() {
    let loaded = load(EVERYTHING, SECRETS, &[]).unwrap();
    let config = loaded.config;
    assert_eq!(&*config.node.name, "gw1");
    assert_eq!(config.node.public_address, Some("203.0.113.10".parse().unwrap()));
    assert_eq!(config.api.key[0].secret.as_ref().unwrap().expose(), "0123456789abcdef");
    assert_eq!(config.sip.listen.len(), 2);
    assert_eq!(config.rtp.timeout.get(), Some(Duration::from_secs(30)));
    assert_eq!(config.playout.level_dbov.get(), Some(-20.0));
    assert_eq!(config.limits.max_body.as_usize(), 16 << 20);
    let trunk = config.trunk("carrier").unwrap();
    assert_eq!(&*trunk.proxy[0], "sip:127.0.0.1:5090");
    assert_eq!(trunk.password.as_ref().unwrap().expose(), "5550100");
    assert_eq!(trunk.caller_id.as_deref(), Some("+15550100"));
    assert_eq!(config.max_active_calls(&config.instance[0]), 100);
    assert!(config.route[0].to.is_match("answer") && !config.route[0].to.is_match("answers"));
    assert_eq!(config.engine.llm[0].key.as_ref().unwrap().expose(), "k");
    assert_eq!(config.log.format, Some(LogFormat::Json));
}

#[test]
fn nothing_at_all_is_a_valid_configuration() {
    let loaded = load("", &[], &[]).unwrap();
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(config.api.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.rtp.ptime, Duration::from_millis(20));
    assert_eq!(config.voice.len(), 6);
    assert_eq!(config.engine.tts[0].kind, TtsKind::Pico);
    assert_eq!(config.sip.t1, Duration::from_millis(500));
}

#[test]
fn the_built_in_configuration_is_clean() {
    let options = LoadOptions { env: variables(&[("HOME", "/home/u")]), ..LoadOptions::default() };
    let loaded = Config::parse(Path::new("laptop.toml"), LAPTOP, &options, None).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(&*loaded.config.node.data_dir, Path::new("/home/u/.local/state/bellwire"));
    let sets = ["sip.listen=udp:127.0.0.1:0".to_owned()];
    let demo = Config::default_for_demo(Path::new("/tmp/demo"), &sets).unwrap();
    assert_eq!(&*demo.node.data_dir, Path::new("/tmp/demo"));
    assert_eq!(demo.sip.listen.len(), 1);
    assert_eq!(demo.max_active_calls(&demo.instance[0]), 200);
}

#[test]
fn everything_wrong_is_reported_at_once_with_its_line() {
    let text = "\
[rtp]
prots = \"20000-29999\"
ptime = \"20\"
workers = 1000
dscp = \"46\"

[jittre]
mode = \"asap\"

[[trunk]]
name = \"carrier\"
caller_id = 15550100
codecs = [\"PCMU\", \"G729\"]

[[trunk]]
name = \"carrier\"

[[instance]]
id = \"inst_a\"
trunk = \"carier\"
";
    let found = errors(text);
    let expected = [
        "b.toml:2: rtp.prots: unknown key; did you mean \"ports\"?",
        "b.toml:3: rtp.ptime: needs a unit: write \"20ms\" or \"20s\"",
        "b.toml:4: rtp.workers: 1000 is out of range: 0 to 256",
        "b.toml:5: rtp.dscp: wants a whole number, and this is text",
        "b.toml:7: jittre: unknown key; did you mean \"jitter\"?",
        "b.toml:12: trunk[0].caller_id: wants text in quotes, and this is a number; \
         write \"15550100\"",
        "b.toml:13: trunk[0].codecs[1]: \"G729\" is not one of PCMU, PCMA",
        "b.toml:16: trunk[1].name: \"carrier\" is there already: trunk[0]",
        "b.toml:20: instance[0].trunk: there is no [[trunk]] called \"carier\"; \
         did you mean \"carrier\"?",
    ];
    for line in expected {
        assert!(found.iter().any(|found| found.starts_with(line)), "{line}\nnot in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn syntax_errors_do_not_hide_the_rest() {
    let found = errors("[rtp]\nports = \nptime = \"1ms\"\n");
    assert!(found[0].starts_with("b.toml:2: not valid TOML"), "{found:#?}");
    assert!(found[1].starts_with("b.toml:3: rtp.ptime: \"1ms\" is out of range"), "{found:#?}");
}

#[test]
fn shapes_of_tables_are_explained() {
    for (text, message) in [
        ("[trunk]\nname = \"a\"", "b.toml:1: trunk: may stand several times"),
        ("[[rtp]]\nworkers = 1", "b.toml:1: rtp: is one table"),
        ("rtp = 3", "b.toml:1: rtp: wants a table, and this is a whole number"),
        ("ports = \"1-9\"", "b.toml:1: ports: unknown key; did you mean \"rtp.ports\"?"),
        ("\"rtp.ports\" = 1", "unknown key"),
        ("[[instance]]\nid = \"inst_a\"", "b.toml:1: instance[0].trunk: is missing"),
        ("[[route]]\n", "b.toml:1: route[0].action: is missing, e.g. action = \"play\""),
    ] {
        let found = errors(text);
        assert!(found.iter().any(|found| found.contains(message)), "{message}\n{found:#?}");
    }
}

#[test]
fn impossible_combinations_are_refused() {
    let route = "[[trunk]]\nname=\"t\"\n[[instance]]\nid=\"inst_a\"\ntrunk=\"t\"\n\
                 [[route]]\ninstance=\"inst_a\"\n";
    for (text, message) in [
        ("[api]\nlisten=\"0.0.0.0:8080\"".to_owned(), "api.listen: 0.0.0.0:8080 is not loopback"),
        ("[api]\nadmin_listen=\"127.0.0.1:8080\"".to_owned(), "same as api.listen"),
        ("[[api.key]]\nname=\"a\"".to_owned(), "has no secret"),
        ("[playout]\nhigh_water=0.4".to_owned(), "must be above low_water"),
        ("[playout]\nbackground=\"a\"".to_owned(), "no [[background]] called \"a\""),
        ("[agent.default]\nbackground=\"a\"".to_owned(), "no [[background]] called \"a\""),
        ("[[background]]\nname=\"a\"\naudio=\"/nonexistent.wav\"".to_owned(), "is not a file"),
        ("[rtp]\ncomfort_noise_dbov=-20".to_owned(), "-20 is out of range"),
        ("[jitter]\nhole_wait=\"90ms\"".to_owned(), "is not between"),
        ("[jitter]\nhole_wait_min=\"90ms\"".to_owned(), "is above hole_wait_max"),
        ("[jitter]\npaced_min=\"300ms\"".to_owned(), "is above paced_max"),
        ("[rtp]\nptime=\"25ms\"".to_owned(), "multiple of 10ms"),
        ("[rtp]\nports=\"20001-20002\"".to_owned(), "no pair"),
        ("[sip]\nlisten=[]".to_owned(), "without a socket"),
        ("[sip]\nlisten=[\"udp:[::1]:1\",\"udp:[::1]:1\"]".to_owned(), "is there already"),
        ("[[trunk]]\nname=\"t\"\nusername=\"u\"".to_owned(), "no password"),
        ("[[trunk]]\nname=\"t\"\ncodecs=[]".to_owned(), "is empty"),
        (format!("{route}action=\"play\""), "needs audio"),
        (format!("{route}action=\"play\"\naudio=\"/nonexistent.wav\""), "is not a file"),
        (format!("{route}action=\"say\""), "needs text"),
        (format!("{route}action=\"say\"\ntext=\"a\"\nvoice=\"x\""), "no voice x"),
        (format!("{route}action=\"answer\"\ntrunk=\"x\""), "no [[trunk]] called"),
        (format!("{route}action=\"play\"\nto=\"(\""), "not a regular expression"),
        ("[[route]]\naction=\"stream\"".to_owned(), "needs an instance"),
        ("[[route]]\naction=\"answer\"\ninstance=\"inst_x\"".to_owned(), "no [[instance]]"),
        ("[[voice]]\nid=\"a\"\nengine=\"pico\"\nvoice=\"en\"".to_owned(), "is not one of en-US"),
        ("[[voice]]\nid=\"a\"\nengine=\"flite\"\nvoice=\"en\"".to_owned(), "no [[engine.tts]]"),
        (
            "[[trunk]]\nname=\"a\"\n[[instance]]\nid=\"inst_a\"\ntrunk=\"a\"\ndefault_rate=11025"
                .to_owned(),
            "11025 is not one of 8000",
        ),
    ] {
        let found = errors(&text);
        assert!(found.iter().any(|found| found.contains(message)), "{message}\n{found:#?}");
    }
}

#[test]
fn a_stream_client_that_is_dialled_must_be_complete() {
    let file = std::env::current_dir().unwrap().join("Cargo.toml");
    let file = file.display();
    let head = "[[trunk]]\nname=\"t\"\n[[instance]]\nid=\"inst_a\"\ntrunk=\"t\"\n";
    let route = format!("{head}[[route]]\ninstance=\"inst_a\"\naction=\"stream\"\n");
    let profile = format!("[[tls_profile]]\nname=\"bots\"\nca=\"{file}\"\n");
    let good = format!(
        "{route}url=\"wss://bot.example\"\nstream={{tls=\"bots\", options=\"rate=8000\", \
         header=[{{name=\"X-A\", value=\"b\"}}]}}\n{profile}"
    );
    assert!(!warnings(&good).is_empty(), "a secret in plain sight, and nothing wrong");
    for (text, message) in [
        (format!("{route}url=\"https://bot.example\""), "begins with ws:// or wss://"),
        (format!("{route}stream={{tls=\"bot\"}}\n{profile}"), "did you mean \"bots\""),
        (format!("{route}url=\"ws://a\"\nstream={{url=\"ws://b\"}}"), "has a url already"),
        (format!("{route}stream={{header=[{{name=\"Host\", value=\"b\"}}]}}"), "X-"),
        (format!("{route}stream={{bearer=\"a\\nb\"}}"), "in one line"),
        (
            format!(
                "{route}stream={{bearer=\"a\", header=[{{name=\"authorization\", value=\"b\"}}]}}"
            ),
            "given twice",
        ),
        (format!("{head}stream={{url=\"http://bot.example\"}}"), "begins with ws:// or wss://"),
        ("[[tls_profile]]\nname=\"a\"\nonly_ca=true".to_owned(), "needs ca"),
        (format!("[[tls_profile]]\nname=\"a\"\ncertificate=\"{file}\""), "needs key"),
        ("[[tls_profile]]\nname=\"a\"\nca=\"/dev/null/x\"".to_owned(), "is not a file"),
    ] {
        let found = errors(&text);
        assert!(found.iter().any(|found| found.contains(message)), "{text}\n{found:#?}");
    }
}

#[test]
fn what_signalling_needs_is_asked_for() {
    let trunk = "[[trunk]]\nname=\"t\"\nproxy=[\"sip:a\"]\n";
    let route = "[[instance]]\nid=\"inst_a\"\ntrunk=\"t\"\n[[trunk]]\nname=\"t\"\n\
                 [[route]]\ninstance=\"inst_a\"\n";
    for (text, message) in [
        ("[sip]\nlisten=[\"tls:127.0.0.1:5061\"]".to_owned(), "needs sip.tls_certificate"),
        ("[sip]\ntls_certificate=\"/dev/null/x\"".to_owned(), "needs tls_key"),
        ("[sip]\ntls_key=\"/dev/null/x\"".to_owned(), "needs tls_certificate"),
        ("[sip]\ntls_require_client_certificate=true".to_owned(), "needs sip.tls_ca"),
        ("[sip]\ntls_ca=\"/dev/null/x\"".to_owned(), "is not a file"),
        ("[sip.identity]\ntrust_anchors=\"/dev/null/x\"".to_owned(), "is not a file"),
        (format!("{trunk}verify=\"note\""), "needs sip.identity.trust_anchors"),
        (format!("{trunk}verify=\"require\""), "needs sip.identity.trust_anchors"),
        (format!("{trunk}sign_url=\"ws://h/x\""), "http:// or https:// only"),
        (format!("{trunk}register=true"), "neither register_user nor username"),
        (trunk.replace("proxy", "register=true\n#"), "no proxy to register with"),
        (format!("{route}action=\"webhook\""), "needs a url"),
        (format!("{route}action=\"dial\""), "needs dial"),
        (format!("{route}action=\"dial\"\ndial=\"desk\""), "needs dial"),
        (format!("{route}action=\"dial\"\ndial=\"+14155550123\"\ndial_trunk=\"other\""), "other"),
    ] {
        let found = errors(&text);
        assert!(found.iter().any(|found| found.contains(message)), "{message}\n{found:#?}");
    }
    let idle = format!("{route}action=\"answer\"\nask=true\ntimeout=\"1s\"");
    let warnings = load(&idle, &[], &[]).unwrap().warnings;
    assert_eq!(warnings.iter().filter(|w| w.message.contains("has no effect")).count(), 2);
}

#[test]
fn what_deserves_a_look_is_a_warning() {
    let line = "[[instance]]\nid=\"inst_a\"\ntrunk=\"t\"\n[[trunk]]\nname=\"t\"\n";
    for (text, message) in [
        ("[rtp]\nports=\"20000-20019\"".to_owned(), "holds 10 calls, fewer than"),
        ("[rtp]\naddress=\"0.0.0.0\"".to_owned(), "set node.public_address"),
        ("[api]\nadmin_listen=\"0.0.0.0:1\"".to_owned(), "is not loopback"),
        (format!("{line}attest_min=\"A\""), "has no effect without verify"),
        (format!("{line}sign_required=true"), "has no effect without sign_url"),
        (line.to_owned(), "has no proxy"),
        (line.to_owned(), "allows no destination"),
        (line.to_owned(), "has no sources"),
        (format!("{line}sources=[\"0.0.0.0/0\"]"), "is everybody"),
        (format!("{line}username=\"u\"\npassword=\"in the clear\""), "plain sight"),
        (
            format!("{line}[[route]]\ninstance=\"inst_a\"\naction=\"answer\"\nsip_code=486"),
            "has no effect with action \"answer\"",
        ),
        ("[[api.key]]\nname=\"a\"\nsecret=\"short\"".to_owned(), "short secret"),
    ] {
        let found = warnings(&text);
        assert!(found.iter().any(|found| found.contains(message)), "{message}\n{found:#?}");
    }
}

#[test]
fn environment_beats_file_and_command_line_beats_both() {
    let env = [
        ("BELLWIRE__RTP__PORTS", "30000-30099"),
        ("BELLWIRE__RTP__WORKERS", "2"),
        ("BELLWIRE__SIP__LISTEN", "udp:127.0.0.1:6060, tcp:127.0.0.1:6060"),
        ("BELLWIRE__TRUNK__CARRIER__CALLER_ID", "15550142"),
        ("BELLWIRE__TRUNK__0__REALM", "12345"),
        ("BELLWIRE__PLAYOUT__LEVEL_DBOV", "-23.5"),
        ("BELLWIRE__WEBHOOK__ALLOW_PRIVATE", "true"),
        ("BELLWIRE_LOG", "debug"),
    ];
    let sets = ["rtp.workers=3", "trunk.carrier.allow=+1,+49", "instance[0].max_active_calls=7"];
    let all: Vec<(&str, &str)> = env.iter().chain(SECRETS).copied().collect();
    let config = load(EVERYTHING, &all, &sets).unwrap().config;
    assert_eq!(config.rtp.ports.to_string(), "30000-30099");
    assert_eq!(config.rtp.workers, 3);
    assert_eq!(config.sip.listen[1].to_string(), "tcp:127.0.0.1:6060");
    let trunk = config.trunk("carrier").unwrap();
    assert_eq!(trunk.caller_id.as_deref(), Some("15550142"));
    assert_eq!(trunk.realm.as_deref(), Some("12345"), "digits stay text");
    assert_eq!(trunk.username.as_deref(), Some("user"), "the rest of the element stands");
    let allow: Vec<&str> = trunk.allow.iter().map(|prefix| &**prefix).collect();
    assert_eq!(allow, ["+1", "+49"]);
    assert_eq!(config.playout.level_dbov.get(), Some(-23.5));
    assert!(config.webhook.allow_private);
    assert_eq!(config.instance[0].max_active_calls, Some(7));
}

#[test]
fn errors_of_the_outside_name_their_source() {
    let env = [
        ("BELLWIRE__RTP__PORTZ", "1-2"),
        ("BELLWIRE__RTP__PTIME", "1h"),
        ("BELLWIRE__TRUNK__OTHER__REALM", "x"),
        ("BELLWIRE__RTP", "x"),
    ];
    let sets = ["rtp", "rtp.ptime.x=1", "playout.high_water=0.1", "limits.max_calls=many"];
    let found = load("", &env, &sets).unwrap_err().to_string();
    for message in [
        "environment variable BELLWIRE__RTP__PORTZ: rtp.portz: unknown key; did you mean \"ports\"?",
        "environment variable BELLWIRE__RTP__PTIME: rtp.ptime: \"1h\" is out of range",
        "environment variable BELLWIRE__TRUNK__OTHER__REALM: trunk: there is no",
        "environment variable BELLWIRE__RTP: rtp: is a table",
        "--set rtp: is written --set section.key=value",
        "--set rtp.ptime.x: rtp.ptime: is one value",
        "--set playout.high_water: playout.high_water: must be above low_water",
        "--set limits.max_calls: limits.max_calls: wants a whole number",
    ] {
        assert!(found.contains(message), "{message}\nnot in:\n{found}");
    }
}

#[test]
fn secrets_are_found_and_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("pass"), "from a file\n").unwrap();
    let trunk = "[[trunk]]\nname=\"t\"\nusername=\"u\"\n";
    let path = directory.path().display();
    let in_file = format!("{trunk}password_file=\"{path}/pass\"");
    let by_credential = format!("{trunk}password_credential=\"pass\"");
    let env = [("CREDENTIALS_DIRECTORY", directory.path().to_str().unwrap())];
    for text in [&in_file, &by_credential] {
        let config = load(text, &env, &[]).unwrap().config;
        assert_eq!(config.trunk[0].password.as_ref().unwrap().expose(), "from a file");
        assert!(!format!("{config:?}").contains("from a file"), "a secret was printed");
    }
    for (text, message) in [
        (format!("{trunk}password_file=\"{path}/none\""), "No such file"),
        (format!("{trunk}password_file=\"{path}\""), "is not a file"),
        (format!("{trunk}password_env=\"NONE\""), "environment variable NONE is not set"),
        (format!("{trunk}password_credential=\"pass\""), "CREDENTIALS_DIRECTORY is not set"),
        (format!("{in_file}\npassword=\"x\""), "is given twice"),
        (format!("{trunk}password=\"\""), "is empty"),
        (format!("{trunk}passwort_env=\"X\""), "did you mean \"password_env\"?"),
    ] {
        let found = errors(&text).join("\n");
        assert!(found.contains(message), "{message}\n{found}");
    }
    let climbing = format!("{trunk}password_credential=\"../pass\"");
    assert!(load(&climbing, &env, &[]).is_err());
}

#[test]
fn the_instance_keeps_the_users_own_object_as_it_is() {
    let text = "[[trunk]]\nname=\"t\"\n[[instance]]\nid=\"inst_a\"\ntrunk=\"t\"\n\
                metadata={OrderId=42, Tags=[\"A\"], deep={\"x.y\"=true}}";
    let config = load(text, &[], &[]).unwrap().config;
    let metadata = serde_json::Value::Object(config.instance[0].metadata.0.clone());
    let expected = serde_json::json!({"OrderId": 42, "Tags": ["A"], "deep": {"x.y": true}});
    assert_eq!(metadata, expected);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let options = |file: &Path| LoadOptions { file: Some(file.into()), ..LoadOptions::default() };
    let directory = tempfile::tempdir().unwrap();
    let none = directory.path().join("none.toml");
    let found = Config::load(&options(&none)).unwrap_err().to_string();
    assert!(found.contains("none.toml: cannot be read"), "{found}");
    assert!(Config::load(&options(directory.path())).is_err());
    let binary = directory.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    assert!(Config::load(&options(&binary)).is_err());
    std::fs::write(&binary, " ".repeat((1 << 20) + 1)).unwrap();
    let found = Config::load(&options(&binary)).unwrap_err().to_string();
    assert!(found.contains("is larger than"), "{found}");
}

/// Reads every default, range and example of a section, and of those below it.
fn walk(section: &'static declare::Section, path: &str, found: &mut Vec<String>) {
    for key in section.keys {
        let here = format!("{path}{}", key.name);
        let texts = [key.default, key.example, key.range.map(|r| r.0), key.range.map(|r| r.1)];
        let readable = |text: &str| text == "{}" || source::literal(text).is_ok();
        found.extend(
            texts.into_iter().flatten().filter(|t| !readable(t)).map(|t| format!("{here}: {t}")),
        );
        if key.doc.iter().all(|line| line.trim().is_empty()) {
            found.push(format!("{here} has no doc"));
        }
        if let declare::Kind::Table(inner) | declare::Kind::Tables(inner) = key.kind {
            walk(inner, &format!("{here}."), found);
        }
    }
}

#[test]
fn declarations_are_readable() {
    let mut found = Vec::new();
    walk(&Config::SECTION, "", &mut found);
    assert_eq!(found, Vec::<String>::new());
}

proptest::proptest! {
    #[test]
    fn no_file_makes_the_loader_panic(
        lines in proptest::collection::vec((0usize..200, "[ -~]{0,20}"), 0..20),
    ) {
        let all: Vec<&str> = EVERYTHING.lines().collect();
        let text: String = lines
            .iter()
            .flat_map(|(index, noise)| {
                let line = all[index % all.len()];
                let cut = noise.len().min(line.len());
                [&line[..cut], noise, "\n", line, "\n"]
            })
            .collect();
        let _ = load(&text, SECRETS, &["rtp.workers=1"]);
    }

    #[test]
    fn no_variable_makes_the_loader_panic(name in "[A-Z_0-9]{0,30}", value in "\\PC{0,30}") {
        let name = format!("BELLWIRE__{name}");
        let _ = load(EVERYTHING, &[(&name, &value)], &[&value]);
    }
}
