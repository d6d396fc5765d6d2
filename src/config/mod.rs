//! The configuration: one TOML file, overlaid by environment and command line, parsed once into a
//! valid [`Config`].
//!
//! ```text
//!  file ── source ──┐
//!  environment ─────┼─ layers ─> tree ─ reader (+ declarations) ─> check ─> Config
//!  --set ───────────┘                         └── findings, all at once ──> ConfigErrors
//! ```
//!
//! Each option is declared once, in the file of its section; reading, error messages, the default
//! file, the reference page and the schema follow from the declaration. Does not act on any
//! value: the rest of the program takes plain values from here and no core ever sees [`Config`].

pub mod address;
pub mod agent;
pub mod api;
mod check;
pub mod compat;
pub mod declare;
pub mod hearing;
mod layers;
pub mod limits;
pub mod line;
pub mod node;
pub mod reader;
pub mod recording;
pub mod reference;
pub mod renew;
pub mod report;
pub mod rtp;
pub mod secret;
pub mod sip;
mod source;
pub mod speech;
pub mod stream;
pub mod tree;
pub mod value;

pub use address::{CallerId, Cidr, InstanceScope, Listen, PortRange, Prefix, SipUri, Url};
pub use agent::{Agent, AgentProfile, HttpTool, TransferMode, TransferTarget, Voicemail};
pub use api::{Api, ApiKey, Console, Scope};
pub use compat::{Compat, CompatAccount};
pub use hearing::{
    AmdDoes, AmdMode, BargeIn, BargeMode, BargeTimeout, InstanceAmd, InstanceBargeIn, Tones, Vad,
};
pub use limits::Limits;
pub use line::{Action, Dedupe, HashName, Instance, RingbackTone, Route, RouteAuth, RouteHeader};
pub use node::{Level, Log, LogFormat, Node, Webhook};
pub use reader::Variables;
pub use recording::Recording;
pub use renew::Change;
pub use report::{ConfigErrors, Place, Problem};
pub use rtp::{
    Background, Jitter, JitterMode, Playout, Rtp, RtpBackend, SilenceMode, ThreadPriority,
};
pub use secret::Secret;
pub use sip::{
    AttestLevel, DtmfMode, IdentityMode, OfferMode, RedirectMode, ReliableMode, Sip, SipIdentity,
    SrtpMode, Trunk, VerifyMode,
};
pub use speech::{Engine, LlmEngine, LlmKind, SttEngine, SttKind, TtsEngine, TtsKind, Voice};
pub use stream::{ConnectWhen, StreamClient, StreamHeader, TlsProfile};
pub use value::{ByteSize, DataDir, Metadata, Name, Pattern, Switch};

use declare::{Scalar, Setting, section};
use reader::Reader;
use std::path::{Path, PathBuf};
use tree::Tree;

/// Where the file is looked for when none is named.
pub const DEFAULT_FILE: &str = "/etc/bellwire/bellwire.toml";

/// What is used when there is no file at all: everything on loopback, and a trunk to a phone
/// beside the gateway.
pub const LAPTOP: &str = include_str!("../../config/laptop.toml");

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

section! {
    /// The whole configuration.
    Config {
        /// The gateway itself: its name, its state on disk, its address.
        node: Node, Restart;
        /// REST and WebSocket.
        api: Api, Restart;
        /// Interfaces of other vendors.
        compat: Compat, Restart;
        /// The page in the browser.
        console: Console, Restart;
        /// Signalling.
        sip: Sip, Restart;
        /// RTP sockets and the media threads.
        rtp: Rtp, Restart;
        /// Late packets, from the carrier to the application.
        jitter: Jitter, Call;
        /// Audio from the application to the carrier.
        playout: Playout, Call;
        /// When a voice begins and ends.
        vad: Vad, Call;
        /// Tones of the network.
        tones: Tones, Call;
        /// What the caller's voice does to what is played.
        barge_in: BargeIn, Call;
        /// Tracks that play beneath what calls say.
        background: Vec<Background>, Restart;
        /// Files of what is said in calls.
        recording: Recording, Restart;
        /// Bounds on what the gateway takes on.
        limits: Limits, Hot;
        /// The carriers.
        trunk: Vec<Trunk>, Restart;
        /// The lines of tenants.
        instance: Vec<Instance>, Call;
        /// Rules for inbound calls.
        route: Vec<Route>, Call;
        /// Speech engines.
        engine: Engine, Restart;
        /// Voices.
        voice: Vec<Voice>, Restart;
        /// Calls that conduct themselves.
        agent: Agent, Call;
        /// TLS of connections to stream clients.
        tls_profile: Vec<TlsProfile>, Call;
        /// Webhooks and other connections that Bellwire opens on behalf of its users.
        webhook: Webhook, Hot;
        /// Log lines on standard error.
        log: Log, Hot;
    }
}

/// What a configuration is made from.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The file; `None`: [`DEFAULT_FILE`] if it is there, else [`LAPTOP`].
    pub file: Option<PathBuf>,
    /// The environment, for `BELLWIRE__SECTION__KEY`, secrets and directories.
    pub env: Variables,
    /// The `--set section.key=value` arguments.
    pub sets: Vec<String>,
}

impl LoadOptions {
    /// The options of a command line, with the environment of the process.
    #[must_use]
    pub fn from_process(file: Option<PathBuf>, sets: Vec<String>) -> Self {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        let variables = std::env::vars_os();
        let env = variables.filter_map(|(name, value)| Some((text(name)?, text(value)?)));
        Self { file, env: env.collect(), sets }
    }
}

/// A valid configuration and what deserves a look in it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What deserves a look, in the order of the file.
    pub warnings: Vec<Problem>,
    /// The file it came from; `None`: [`LAPTOP`].
    pub file: Option<PathBuf>,
}

impl Config {
    /// Reads file, environment and command line into a valid configuration.
    ///
    /// Cost: reads files (the configuration and its secrets); resolves no name, opens no socket.
    ///
    /// # Errors
    /// Everything that is wrong, at once, each with file and line.
    pub fn load(options: &LoadOptions) -> Result<Loaded, ConfigErrors> {
        let default = Path::new(DEFAULT_FILE);
        let file = match &options.file {
            Some(file) => Some(file.clone()),
            None => default.exists().then(|| default.to_owned()),
        };
        let Some(file) = file else {
            return Self::parse(Path::new("built-in laptop.toml"), LAPTOP, options, None);
        };
        let text = read_file(&file).map_err(|what| ConfigErrors::of_file(&file, what))?;
        Self::parse(&file, &text, options, Some(file.clone()))
    }

    /// The built-in configuration: everything on loopback, state in `data_dir`, and the trunk
    /// `carrier` to a phone at `127.0.0.1:5090`. What the demo and tests start from.
    ///
    /// # Errors
    /// Only if `sets` are wrong: the built-in configuration itself is tested.
    pub fn default_for_demo(data_dir: &Path, sets: &[String]) -> Result<Self, ConfigErrors> {
        let mut all = vec![format!("node.data_dir={}", data_dir.display())];
        all.extend_from_slice(sets);
        let options = LoadOptions { file: None, env: Variables::new(), sets: all };
        let name = Path::new("built-in laptop.toml");
        Ok(Self::parse(name, LAPTOP, &options, None)?.config)
    }

    fn parse(
        name: &Path,
        text: &str,
        options: &LoadOptions,
        file: Option<PathBuf>,
    ) -> Result<Loaded, ConfigErrors> {
        let source::Parsed { root, lines, mut problems } = source::parse(name, text);
        let broken: Vec<Place> = problems.iter().map(|problem| problem.place.clone()).collect();
        let root = layers::merge(root, &options.env, &options.sets, &Self::SECTION, &mut problems);
        let mut reader = Reader::new(&Self::SECTION, &lines, &options.env);
        let root = tree::Node::new(Tree::Table(root));
        let mut config = Self::read(&mut reader, &root).unwrap_or_else(Self::stand_in);
        check::check(&mut config, &mut reader);
        let (errors, mut warnings) = reader.finish();
        // What was salvaged from a line with a syntax error is not worth a second one.
        problems.extend(errors.into_iter().filter(|problem| !broken.contains(&problem.place)));
        problems.sort();
        warnings.sort();
        if problems.is_empty() {
            Ok(Loaded { config, warnings, file })
        } else {
            Err(ConfigErrors { problems, warnings })
        }
    }

    /// The trunk of that name.
    #[must_use]
    pub fn trunk(&self, name: &str) -> Option<&Trunk> {
        self.trunk.iter().find(|trunk| &*trunk.name == name)
    }

    /// Most active calls of an instance: its own limit, else its trunk's.
    #[must_use]
    pub fn max_active_calls(&self, instance: &Instance) -> u32 {
        instance
            .max_active_calls
            .or_else(|| self.trunk(&instance.trunk).map(|trunk| trunk.max_calls))
            .unwrap_or(self.limits.max_calls)
    }
}

/// Reads one value as it would stand in the environment, for arguments of the command line.
///
/// # Errors
/// What is wrong with it, in words.
pub fn from_text<T: Scalar>(text: &str) -> Result<T, String> {
    T::parse(&tree::Node { outside: Some("argument".into()), value: Tree::Text(text.to_owned()) })
}

fn read_file(file: &Path) -> Result<String, String> {
    let size = std::fs::metadata(file).map_err(|error| format!("cannot be read: {error}"))?;
    if size.len() > FILE_BYTES_MAX {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests;
