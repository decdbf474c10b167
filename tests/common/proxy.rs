//! A TCP proxy on loopback that is as bad as a network can be: slow, cut, or silent.
//!
//! Its own rather than one of the well-known ones, as it must do one thing that they do not: keep the bytes that were on their way when
//! a connection fell silent, and deliver them long after its client has given it up.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use socket2::SockRef;

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// They pass.
    Flows,
    /// They pass after this time.
    Slow(Duration),
    /// They wait until the traffic flows again, and nobody is told: a half-open connection.
    Held,
}

#[derive(Debug)]
struct State {
    traffic: Traffic,
    /// Connections to come are reset.
    refuses: bool,
    connections: Vec<Connection>,
}

/// A connection, as both of its ends and whether it keeps its bytes although the others flow again.
#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    held: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A proxy before one address; its threads end with the test process.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a port of its own, and connects to `to` on 127.0.0.1 for everybody who comes.
    pub fn before(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { traffic: Traffic::Flows, refuses: false, connections: Vec::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let proxy = Self { port, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                shared.accept(client, to);
            }
        });
        proxy
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets what becomes of the bytes of all connections.
    pub fn set(&self, traffic: Traffic) {
        let mut state = self.shared.lock();
        state.traffic = traffic;
        state.connections.iter().for_each(|connection| connection.held.store(false, Ordering::Relaxed));
        self.shared.changed.notify_all();
    }

    /// Holds the bytes of the connections that exist; new ones flow.
    pub fn hold_existing(&self) {
        let state = self.shared.lock();
        state.connections.iter().for_each(|connection| connection.held.store(true, Ordering::Relaxed));
    }

    /// Resets all connections.
    pub fn reset(&self) {
        for connection in std::mem::take(&mut self.shared.lock().connections) {
            connection.reset();
        }
        self.shared.changed.notify_all();
    }

    /// Resets all connections, and refuses new ones until told otherwise.
    pub fn cut(&self) {
        self.shared.lock().refuses = true;
        self.reset();
    }

    /// Takes [`Self::cut`] back.
    pub fn mend(&self) {
        self.shared.lock().refuses = false;
    }
}

impl Connection {
    /// With RST, as a firewall does that has forgotten it: not with a polite FIN.
    fn reset(&self) {
        for end in [&self.client, &self.server] {
            // Either end may be gone already.
            let _ = SockRef::from(end).set_linger(Some(Duration::ZERO));
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, client: TcpStream, to: u16) {
        let mut state = self.lock();
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, to));
        let (Ok(server), false) = (server, state.refuses) else {
            let _ = SockRef::from(&client).set_linger(Some(Duration::ZERO));
            return;
        };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let held = Arc::new(AtomicBool::new(false));
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
            let (shared, held) = (Arc::clone(self), Arc::clone(&held));
            thread::spawn(move || shared.pump(from, to, &held));
        }
        state.connections.push(Connection { client, server, held });
    }

    /// Carries bytes until an end is reached; those that it has when they are held are delivered whenever they may be.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, held: &AtomicBool) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            let pause = self.wait_until_it_flows(held);
            thread::sleep(pause);
            if read == 0 || to.write_all(&buffer[..read]).is_err() {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
        }
    }

    fn wait_until_it_flows(&self, held: &AtomicBool) -> Duration {
        let mut state = self.lock();
        loop {
            match state.traffic {
                _ if held.load(Ordering::Relaxed) => {}
                Traffic::Flows => return Duration::ZERO,
                Traffic::Slow(pause) => return pause,
                Traffic::Held => {}
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
