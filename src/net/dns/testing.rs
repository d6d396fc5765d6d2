//! A name server on loopback, for tests.

use super::{Resolver, ResolverSpec};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// Records of a name in lower case, with its final dot: owner, TTL, content.
pub(crate) type Zone = Arc<dyn Fn(&str, RecordType) -> Vec<(String, u32, RData)> + Send + Sync>;

/// What the server does.
#[derive(Debug, Default)]
pub(crate) struct Mood {
    pub mute: AtomicBool,
    pub broken: AtomicBool,
    pub asked: AtomicUsize,
}

pub(crate) struct Server {
    pub address: SocketAddr,
    pub mood: Arc<Mood>,
    _task: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(zone: Zone) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mood = Arc::new(Mood::default());
        let mut task = JoinSet::new();
        task.spawn(serve(socket, Arc::clone(&mood), zone));
        Self { address, mood, _task: task }
    }

    /// How to ask nobody else.
    pub(crate) fn spec(&self) -> ResolverSpec {
        let servers = vec![self.address];
        ResolverSpec { servers, hosts: false, ..ResolverSpec::default() }
    }

    pub(crate) fn resolver(&self) -> Resolver {
        Resolver::new(self.spec(), [1; 32]).unwrap()
    }

    pub(crate) fn asked(&self) -> usize {
        self.mood.asked.load(Ordering::SeqCst)
    }
}

async fn serve(socket: UdpSocket, mood: Arc<Mood>, zone: Zone) {
    let mut buffer = [0; 1500];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        mood.asked.fetch_add(1, Ordering::SeqCst);
        if mood.mute.load(Ordering::SeqCst) {
            continue;
        }
        let asked = Message::from_vec(&buffer[..length]).unwrap();
        let _ = socket.send_to(&reply(&asked, &mood, &zone).to_vec().unwrap(), from).await;
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn reply(asked: &Message, mood: &Mood, zone: &Zone) -> Message {
    let query = asked.queries[0].clone();
    let mut answer = asked.clone().into_response();
    answer.additionals.clear();
    answer.edns = None;
    if mood.broken.load(Ordering::SeqCst) {
        answer.metadata.response_code = ResponseCode::ServFail;
        return answer;
    }
    let text = query.name().to_ascii().to_ascii_lowercase();
    for (owner, ttl, content) in zone(&text, query.query_type()) {
        answer.add_answer(Record::from_rdata(name(&owner), ttl, content));
    }
    if answer.answers.is_empty() {
        answer.metadata.response_code = ResponseCode::NXDomain;
        let soa = SOA::new(name("ns.test."), name("root.test."), 1, 1, 1, 1, 30);
        answer.add_authority(Record::from_rdata(name("test."), 900, RData::SOA(soa)));
    }
    answer
}
