//! The user of the gateway: makes calls, opens their streams, ends them, reads what they were like.

use crate::callee::FIRST_NUMBER;
use crate::daemon::Daemon;
use crate::lines::Order;
use crate::websocket;
use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// What every call is.
#[derive(Clone)]
pub enum Kind {
    /// DYNAMIC_STREAM with messages of this many milliseconds.
    Stream { frame_ms: usize },
    /// FIXED_AUDIO with this file.
    Prompt { base64: String },
}

/// The gateway's REST interface; cheap to clone.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    admin: String,
}

impl Api {
    pub fn new(daemon: &Daemon) -> Self {
        Self {
            http: {
                bellwire::net::tls::install_default();
                reqwest::Client::new()
            },
            base: daemon.addresses.api.clone(),
            admin: daemon.addresses.admin.clone(),
        }
    }

    pub async fn wait_until_ready(&self, daemon: &mut Daemon) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(20);
        let url = format!("http://{}/health/ready", self.admin);
        while Instant::now() < until {
            daemon.check()?;
            let answer = self.http.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the gateway is not ready after 20 s")
    }

    /// Makes the call of a line and opens its stream; gives the call's id.
    pub async fn call(&self, line: usize, kind: &Kind, orders: &Sender<Order>) -> Result<String> {
        let number = format!("+{}", FIRST_NUMBER + line as u64);
        let mut body = json!({ "instanceId": "inst_load", "target": { "phoneNumber": number } });
        match kind {
            Kind::Stream { .. } => body["type"] = json!("DYNAMIC_STREAM"),
            Kind::Prompt { base64 } => {
                body["type"] = json!("FIXED_AUDIO");
                body["audio"] = json!({ "audioBase64": base64, "repeat": 0 });
            }
        }
        let answer = self.http.post(self.url("")).json(&body).send().await?;
        let status = answer.status();
        let call: Value = answer.json().await?;
        ensure!(status.as_u16() == 201, "POST /v1/calls answered {status}: {call}");
        let id = call["id"].as_str().context("the call has no id")?.to_owned();
        if let Kind::Stream { frame_ms } = kind {
            let (socket, unread) = websocket::open(&self.base, &id, *frame_ms).await?;
            orders.send(Order::Attached { line, socket, unread }).ok();
        }
        Ok(id)
    }

    pub async fn end(&self, id: &str) -> Result<()> {
        let answer = self.http.delete(self.url(id)).send().await?;
        ensure!(answer.status().is_success(), "DELETE of {id} answered {}", answer.status());
        Ok(())
    }

    /// The call object, when the call is over.
    pub async fn ended(&self, id: &str) -> Result<Value> {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let call: Value = self.http.get(self.url(id)).send().await?.json().await?;
            if matches!(call["status"].as_str(), Some("COMPLETED" | "FAILED")) {
                return Ok(call);
            }
            ensure!(Instant::now() < until, "{id} did not end within 20 s: {call}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn metrics(&self) -> Result<String> {
        let url = format!("http://{}/metrics", self.admin);
        Ok(self.http.get(&url).send().await?.text().await?)
    }

    fn url(&self, id: &str) -> String {
        let slash = if id.is_empty() { "" } else { "/" };
        format!("http://{}/v1/calls{slash}{id}", self.base)
    }
}

/// A WAV file of noise in bursts, 10 s of µ-law.
pub fn prompt() -> String {
    let pattern = *crate::pattern::Pattern::new(0).octets(0);
    let sound: Vec<u8> = pattern.iter().copied().cycle().take(80_000).collect();
    let mut file = Vec::with_capacity(sound.len() + 64);
    let length = |octets: usize| (octets as u32).to_le_bytes();
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&length(sound.len() + 50));
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&length(18));
    // Format 7 (µ-law), mono, 8000 samples and octets a second, 1 octet of 8 bits, no extension.
    file.extend_from_slice(&[7, 0, 1, 0, 0x40, 0x1F, 0, 0, 0x40, 0x1F, 0, 0, 1, 0, 8, 0, 0, 0]);
    file.extend_from_slice(b"fact");
    file.extend_from_slice(&length(4));
    file.extend_from_slice(&length(sound.len()));
    file.extend_from_slice(b"data");
    file.extend_from_slice(&length(sound.len()));
    file.extend_from_slice(&sound);
    STANDARD.encode(file)
}
