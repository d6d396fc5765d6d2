//! `[node]`, `[log]` and `[webhook]`: the gateway itself.

use super::declare::{choice, section};
use super::value::{DataDir, Name};
use std::net::IpAddr;

section! {
    /// The gateway itself: its name, its state on disk, its address.
    Node {
        /// Name of this gateway in logs, metrics and the User-Agent.
        ///
        /// Give each gateway its own when there are several.
        name: Name = "gw1", Restart;
        /// Where the SQLite store, spools, recordings and voices live; created if absent.
        ///
        /// `auto` is the directory that systemd gives (`StateDirectory=`), else
        /// `$XDG_STATE_HOME/bellwire` or `~/.local/state/bellwire`, and for root
        /// `/var/lib/bellwire`.
        data_dir: DataDir = "auto", Restart;
        /// The address written into Via, Contact and SDP: set it behind NAT.
        ///
        /// Without it, the local address that routes to the peer.
        public_address: Option<IpAddr> => "203.0.113.10", Restart;
    }
}

section! {
    /// Webhooks and other connections that Bellwire opens on behalf of its users.
    Webhook {
        /// Lets webhooks and stream URLs go to loopback and private addresses.
        ///
        /// Off, because a user of the API could reach inside your network with it.
        allow_private: bool = false, Hot;
    }
}

choice! {
    /// How much is logged.
    Level {
        /// Broken.
        Error = "error",
        /// Someone should look today.
        Warn = "warn",
        /// One line per call and per change of the gateway's state.
        Info = "info",
        /// Every message and state change.
        Debug = "debug",
        /// Every packet: for development only.
        Trace = "trace",
    }
}

choice! {
    /// How log lines look.
    LogFormat {
        /// One JSON object a line.
        Json = "json",
        /// For eyes.
        Text = "text",
    }
}

section! {
    /// Log lines on standard error.
    Log {
        /// How much is logged; `BELLWIRE_LOG` takes finer directives, e.g. `bellwire::sip=debug`.
        ///
        /// `info` is one line per call and per change of the gateway's state.
        level: Level = "info", Hot;
        /// `json` or `text`.
        ///
        /// Without it: `text` when standard error is a terminal, else `json`.
        format: Option<LogFormat> => "json", Restart;
    }
}
