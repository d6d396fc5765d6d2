//! The carrier at the other end of the trunk: answers every INVITE at once and obeys every BYE.
//!
//! As little SIP as a loopback needs: 180, 200 with an answer to the offer, 200 again when the
//! INVITE comes again, 200 to BYE and OPTIONS. No timers, no dialog checks.

use crate::lines::{Order, Shared};
use anyhow::{Context as _, Result};
use bellwire::audio::codec::CodecId;
use bellwire::sdp::{Desk, Direction, LocalMedia, SrtpPolicy};
use bellwire::sip::message::{Message, MessageWriter, Method, Name, ResponseSpec, StartLine};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DATAGRAM_MAX: usize = 8 * 1024;
/// The number of line 0; the others follow.
pub const FIRST_NUMBER: u64 = 14_155_500_000;

struct Call {
    line: usize,
    /// The answer, for an INVITE that comes again.
    answer: Vec<u8>,
    /// Given to the lines when the answer was acknowledged.
    media: Option<(UdpSocket, SocketAddr)>,
}

/// The SIP socket and its calls.
pub struct Callee {
    socket: UdpSocket,
    calls: BTreeMap<String, Call>,
    lines: usize,
    orders: Sender<Order>,
}

impl Callee {
    pub fn new(socket: UdpSocket, lines: usize, orders: Sender<Order>) -> Result<Self> {
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(1 << 20)?;
        Ok(Self { socket, calls: BTreeMap::new(), lines, orders })
    }

    /// Answers until told to stop.
    pub fn run(mut self, shared: &Arc<Shared>) {
        let mut datagram = vec![0; DATAGRAM_MAX];
        while !shared.stop.load(Ordering::Relaxed) {
            let Ok((length, from)) = self.socket.recv_from(&mut datagram) else { continue };
            let Ok(message) = Message::parse(&datagram[..length]) else { continue };
            if let Err(error) = self.handle(&message, from) {
                // Nobody to tell is no reason to stop.
                let _ = writeln!(std::io::stderr(), "\ncallee: {error:#}");
            }
        }
    }

    fn handle(&mut self, message: &Message<'_>, from: SocketAddr) -> Result<()> {
        let Some(method) = message.method().filter(|_| message.is_request()) else { return Ok(()) };
        match method {
            Method::Invite => self.invite(message, from),
            Method::Ack => self.acknowledged(message),
            Method::Bye => {
                if let Some(call) = self.calls.get(message.call_id()?) {
                    self.orders.send(Order::Ended { line: call.line }).ok();
                }
                self.respond(message, from, 200)
            }
            Method::Options => self.respond(message, from, 200),
            _ => self.respond(message, from, 501),
        }
    }

    fn respond(&self, request: &Message<'_>, from: SocketAddr, code: u16) -> Result<()> {
        let mut out = Vec::new();
        let spec = ResponseSpec { code, to_tag: Some("load"), ..ResponseSpec::default() };
        MessageWriter::respond(&mut out, request, &spec).finish()?;
        self.socket.send_to(&out, from)?;
        Ok(())
    }

    fn invite(&mut self, invite: &Message<'_>, from: SocketAddr) -> Result<()> {
        let id = invite.call_id()?;
        if let Some(call) = self.calls.get(id) {
            self.socket.send_to(&call.answer, from)?;
            return Ok(());
        }
        let Some(line) = dialled(invite).filter(|line| *line < self.lines) else {
            return self.respond(invite, from, 404);
        };
        self.respond(invite, from, 180)?;
        let media = UdpSocket::bind((LOOPBACK, 0))?;
        media.set_nonblocking(true)?;
        let port = media.local_addr()?.port();
        // RTCP to the same port: no second socket, and none of another line is hit.
        let local = LocalMedia {
            address: LOOPBACK,
            rtp_port: port,
            rtcp_port: port,
            codecs: vec![CodecId::Pcmu],
            own_order: false,
            // As nearly every carrier: else the gateway listens to each call for digits as tones.
            telephone_event: true,
            comfort_noise: false,
            ptime: Duration::from_millis(20),
            session_id: line as u64 + 1,
            session_version: 1,
            direction: Direction::BOTH,
            rtcp_mux: false,
            srtp: SrtpPolicy::Off,
        };
        // Plain media: no key is ever drawn.
        let mut desk = Desk::new(local, Box::new(|_| {}));
        let (answer, agreed) = desk.answer(invite.body()).context("the offer")?;
        let contact = format!("<sip:load@{}>", self.socket.local_addr()?);
        let mut out = Vec::new();
        let spec = ResponseSpec { code: 200, to_tag: Some("load"), ..ResponseSpec::default() };
        MessageWriter::respond(&mut out, invite, &spec)
            .header(Name::Contact, contact)
            .body("application/sdp", &answer)?;
        self.socket.send_to(&out, from)?;
        let media = Some((media, agreed.remote_rtp));
        self.calls.insert(id.to_owned(), Call { line, answer: out, media });
        Ok(())
    }

    fn acknowledged(&mut self, ack: &Message<'_>) -> Result<()> {
        let Some(call) = self.calls.get_mut(ack.call_id()?) else { return Ok(()) };
        if let Some((socket, peer)) = call.media.take() {
            self.orders.send(Order::Answered { line: call.line, socket, peer }).ok();
        }
        Ok(())
    }
}

/// The line whose number was dialled.
fn dialled(invite: &Message<'_>) -> Option<usize> {
    let StartLine::Request { uri, .. } = invite.start_line() else { return None };
    let digits: String = uri.chars().filter(char::is_ascii_digit).take(11).collect();
    usize::try_from(digits.parse::<u64>().ok()?.checked_sub(FIRST_NUMBER)?).ok()
}
