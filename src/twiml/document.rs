//! The verbs of a document, with every default filled in.
//!
//! Owns their shape. What is not here is refused by the parser, with its name.

use std::time::Duration;

/// How a URL is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// POST: parameters in the body.
    #[default]
    Post,
    /// GET: parameters in the query.
    Get,
}

impl Method {
    /// By its name, in any case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "POST" => Some(Self::Post),
            "GET" => Some(Self::Get),
            _ => None,
        }
    }

    /// The name in a request.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET",
        }
    }
}

/// Where to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// May be relative to the document's own.
    pub url: String,
    /// How.
    pub method: Method,
}

/// With what a call begins, or goes on when somebody asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A document that is there.
    Verbs(Vec<Verb>),
    /// One that has to be fetched; the URL is absolute.
    Fetch(Link),
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Speak.
    Say(Say),
    /// Play a file, or press keys.
    Play(Play),
    /// Be silent.
    Pause(Duration),
    /// Collect digits.
    Gather(Box<Gather>),
    /// Call somebody and connect both.
    Dial(Box<Dial>),
    /// Connect to a WebSocket, both ways, until it is closed.
    Connect(Box<Connect>),
    /// Send what is heard to a WebSocket while the document goes on.
    Start(Box<Stream>),
    /// End such a stream, by its name.
    Stop(String),
    /// Refuse an incoming call with this status.
    Reject(u16),
    /// End the call.
    Hangup,
    /// Go on with another document.
    Redirect(Link),
}

/// `<Say>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Say {
    /// Text, or SSML without `<speak>`.
    pub text: String,
    /// Whether there are tags in it.
    pub ssml: bool,
    /// As the document names it.
    pub voice: Option<String>,
    /// e.g. `en-GB`.
    pub language: Option<String>,
    /// How often; 0: until something else happens.
    pub times: u32,
}

/// `<Play>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Play {
    /// A WAV or MP3 file.
    File {
        /// May be relative.
        url: String,
        /// How often; 0: until something else happens.
        times: u32,
    },
    /// Keys: `0-9*#A-D`, and `w` for half a second of silence.
    Digits(String),
}

/// `<Gather>`, of digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gather {
    /// Who is told; without it the document's own URL.
    pub action: Option<String>,
    /// How.
    pub method: Method,
    /// How long to wait for the next digit.
    pub timeout: Duration,
    /// Keys that end the input; none: no key does.
    pub finish_on: String,
    /// That many digits end the input.
    pub digits_max: Option<u32>,
    /// `action` is asked although nothing was pressed.
    pub on_empty: bool,
    /// What is heard meanwhile: say, play and pause.
    pub prompts: Vec<Verb>,
}

/// `<Dial>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// A number.
    pub number: Option<String>,
    /// Or a SIP URI.
    pub sip: Option<String>,
    /// Who is told how it went; without it the document goes on.
    pub action: Option<String>,
    /// How.
    pub method: Method,
    /// How long they may ring.
    pub timeout: Duration,
    /// How long they may talk.
    pub longest: Option<Duration>,
    /// The number that is shown.
    pub caller_id: Option<String>,
}

/// `<Connect>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// To whom.
    pub stream: Stream,
    /// Who is told when it is over; without it the document goes on.
    pub action: Option<String>,
    /// How.
    pub method: Method,
}

/// Which sound a stream that only listens is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Track {
    /// The other side's.
    #[default]
    Inbound,
    /// Ours.
    Outbound,
    /// Both.
    Both,
}

/// `<Stream>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// ws or wss.
    pub url: String,
    /// A name by which it can be ended.
    pub name: Option<String>,
    /// Which sound, of one that only listens.
    pub track: Track,
    /// Told to the server as `customParameters`.
    pub parameters: Vec<(String, String)>,
}
