//! Those who listen: they hear and are told, each in its own way, and decide nothing.
//!
//! Among them sit, until they have closed, clients that lost the main place or never got it. Does
//! not count places: the seats do.

use super::{Moment, Session, Settings};
use crate::app::stream::client::Client;
use crate::app::stream::dialect::Heard;
use crate::app::stream::options::StreamOptions;
use crate::app::stream::seat::{CloseCode, Outgoing, StreamRights};
use crate::app::stream::wire::{self, CommandId, Refused, Request, Told};

/// Which client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app::stream) enum Place {
    /// The one that speaks.
    Main,
    /// One that listens, by its number.
    Listener(u32),
}

/// See the module.
#[derive(Default)]
pub(super) struct Audience {
    clients: Vec<(u32, Client)>,
    seated: u32,
}

impl Audience {
    fn seat(&mut self, client: Client) -> Place {
        self.seated = self.seated.wrapping_add(1);
        self.clients.push((self.seated, client));
        Place::Listener(self.seated)
    }

    fn client(&mut self, number: u32) -> Option<&mut Client> {
        self.clients.iter_mut().find(|(of, _)| *of == number).map(|(_, client)| client)
    }

    /// All of them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.clients.iter_mut().map(|(_, client)| client)
    }

    /// Tells everybody.
    pub(super) fn tell(&mut self, told: &Told, now: Moment) {
        for (_, client) in &mut self.clients {
            client.tell(told, now);
        }
    }

    /// Forgets one whose socket is gone.
    pub(super) fn leave(&mut self, number: u32) {
        self.clients.retain(|(of, _)| *of != number);
    }

    /// Does what is due by the clock; whether somebody had to be given up.
    pub(super) fn on_time(&mut self, now: Moment) -> bool {
        let before = self.clients.len();
        self.clients.retain_mut(|(_, client)| client.on_time(now.at));
        self.clients.len() < before
    }
}

impl Session {
    /// The client of a place, while it has a socket.
    pub(super) fn client_at(&mut self, place: Place) -> Option<&mut Client> {
        match place {
            Place::Main => self.client.as_mut(),
            Place::Listener(number) => self.audience.client(number),
        }
    }

    /// Whether somebody with a socket has this place.
    pub(in crate::app::stream) fn has_client(&mut self, place: Place) -> bool {
        self.client_at(place).is_some()
    }

    /// The next message for a client.
    pub(in crate::app::stream) fn next_message(
        &mut self,
        place: Place,
        now: Moment,
    ) -> Option<Outgoing> {
        self.client_at(place)?.next_message(now)
    }

    /// So many pings were answered on the socket of a client.
    pub(in crate::app::stream) fn note_pongs(&mut self, place: Place, pongs: u64) {
        if let Some(client) = self.client_at(place) {
            client.note_pongs(pongs);
        }
    }

    /// All clients that have a socket.
    pub(super) fn clients(&self) -> impl Iterator<Item = &Client> {
        self.client.iter().chain(self.audience.clients.iter().map(|(_, client)| client))
    }

    /// The same.
    pub(super) fn clients_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        let listeners = self.audience.clients.iter_mut().map(|(_, client)| client);
        self.client.iter_mut().chain(listeners)
    }

    /// A key that is revoked, or has expired, opens nothing any more.
    pub(super) fn show_out_whose_key_is_gone(&mut self, now: Moment) {
        for client in self.clients_mut() {
            if client.rights.are_over(now.unix_ms) && !client.is_closing() {
                client.close(CloseCode::Policy, "the key is good no more", now.at);
            }
        }
    }

    /// All whose outlets take sound, with a socket or without.
    pub(super) fn hearers(&self) -> impl Iterator<Item = &Client> {
        self.away.iter().map(|away| &away.client).chain(self.clients())
    }

    pub(super) fn seat_listener(
        &mut self,
        asked: &StreamOptions,
        settings: Settings,
        rights: StreamRights,
        now: Moment,
    ) -> Place {
        let mut client = self.make_client(asked, settings, rights, now);
        client.tell(&Told::Start(Box::new(self.start_message(&settings, None, false))), now);
        for past in &self.history {
            client.tell_as_of(&past.told, now, past.unix_ms);
        }
        let place = self.audience.seat(client);
        self.order_capture();
        place
    }

    /// Lets a client sit until it has closed.
    pub(super) fn seat_leaving(&mut self, client: Client) -> Place {
        self.audience.seat(client)
    }

    /// Takes up what a listener said.
    pub(super) fn hear_listener(&mut self, number: u32, now: Moment) {
        while let Some(client) = self.audience.client(number)
            && let Some(heard) = client.heard.pop_front()
        {
            match heard {
                Heard::Request(id, request) => self.answer_listener(number, id, &request, now),
                Heard::Audio(_) if client.refused_hush.may_speak(now.at) => {
                    refuse(client, None, "a listener's audio is not played", now);
                }
                Heard::Audio(_) => {}
                Heard::Refused(Refused { id, code, detail }) => {
                    client.tell(&Told::Error { id, code, detail, fatal: false }, now);
                    if code == wire::INVALID {
                        client.fault(now);
                    }
                }
                Heard::Fatal(code, reason) => client.close(code, reason, now.at),
            }
        }
    }

    fn answer_listener(
        &mut self,
        number: u32,
        id: Option<CommandId>,
        request: &Request,
        now: Moment,
    ) {
        if matches!(request, Request::Stats) {
            let stats = Box::new(self.stats(id));
            if let Some(client) = self.audience.client(number) {
                client.tell(&Told::Stats(stats), now);
            }
            return;
        }
        let Some(client) = self.audience.client(number) else { return };
        if matches!(request, Request::Ping) {
            client.tell(&Told::Pong { id }, now);
        } else if let Request::Configure { format: None, rate: None, out } = request {
            if client.reshape(*out, now) {
                client.tell_done(id, now);
            } else {
                refuse(client, id, "this client is sent no audio", now);
            }
        } else {
            refuse(client, id, "a listener hears and decides nothing", now);
        }
    }
}

fn refuse(client: &mut Client, id: Option<CommandId>, detail: &str, now: Moment) {
    let detail = detail.to_owned();
    client.tell(&Told::Error { id, code: "conflict", detail, fatal: false }, now);
}
