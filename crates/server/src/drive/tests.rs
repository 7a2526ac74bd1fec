//! The loop with a toy protocol: lines come back, `big` answers a lot, `end` closes, `boom` panics.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

const SILENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Toy {
    input: Vec<u8>,
    output: VecDeque<Vec<u8>>,
    closed: bool,
    stopped: usize,
    /// Goes on when it is told to end, until it is cut.
    stubborn: bool,
    stranger: bool,
}

impl Toy {
    fn say(&mut self, text: &str) {
        self.output.push_back(text.as_bytes().to_vec());
    }
}

impl Session for Toy {
    type Event = String;
    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }
    fn poll(&mut self) -> Option<String> {
        if self.closed {
            return None;
        }
        let end = self.input.iter().position(|&octet| octet == b'\n')?;
        let line: Vec<u8> = self.input.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).trim().to_owned())
    }
    fn transmit(&mut self) -> Option<Vec<u8>> {
        self.output.pop_front()
    }
    fn pending(&self) -> usize {
        self.output.iter().map(Vec::len).sum()
    }
    fn timeout(&self) -> Duration {
        SILENCE
    }
    fn handle_timeout(&mut self) {
        self.say("timeout\n");
        self.closed = true;
    }
    fn shutdown(&mut self) {
        self.stopped += 1;
        if !self.stubborn {
            self.say("bye\n");
            self.closed = true;
        }
    }
    fn cut(&mut self) {
        self.say("cut\n");
        self.closed = true;
    }
    fn awaits_login(&self) -> bool {
        self.stranger
    }
    fn closed(&self) -> bool {
        self.closed
    }
    fn tls_started(&mut self, _: &TlsInfo) {}
    fn is_progress(event: &String) -> bool {
        event != "data"
    }
}

struct Echo {
    ended: mpsc::UnboundedSender<()>,
    most_pending: usize,
}

impl Handler<Toy> for Echo {
    async fn handle(&mut self, link: &mut Link<Toy>, event: String) -> Result<Next, Gone> {
        match event.as_str() {
            "end" => link.session.closed = true,
            "stay" => link.session.stubborn = true,
            "login" => link.session.stranger = false,
            "stranger" => link.session.stranger = true,
            "data" => {}
            "boom" => panic!("as the test wants"),
            "big" => {
                for _ in 0..100 {
                    link.session.output.push_back(vec![b'x'; 64 * 1024]);
                    self.most_pending = self.most_pending.max(link.session.pending());
                    link.flush_if_full().await?;
                }
                link.session.say("\n");
            }
            line => link.session.say(&format!("{line}\n")),
        }
        Ok(Next::Continue)
    }
    async fn woken(&mut self, link: &mut Link<Toy>) -> Result<Next, Gone> {
        link.session.say("woken\n");
        Ok(Next::Continue)
    }
    async fn ended(&mut self) {
        assert!(
            self.most_pending <= FLUSH_ABOVE + 64 * 1024,
            "{}",
            self.most_pending
        );
        let _ = self.ended.send(());
    }
}

struct Run {
    peer: UnixStream,
    wake: Arc<Wake>,
    ended: mpsc::UnboundedReceiver<()>,
    task: tokio::task::JoinHandle<()>,
}

fn start() -> Run {
    let (ours, peer) = UnixStream::pair().unwrap();
    let wake = Arc::new(Wake::default());
    let connection = Connection {
        stream: Stream::Unix(ours),
        peer: Peer::unix(),
        tls: None,
        acceptor: None,
        wake: Arc::clone(&wake),
    };
    let (sender, ended) = mpsc::unbounded_channel();
    let task = tokio::spawn(drive(
        connection,
        Toy::default(),
        Echo {
            ended: sender,
            most_pending: 0,
        },
    ));
    Run {
        peer,
        wake,
        ended,
        task,
    }
}

impl Run {
    async fn say(&mut self, text: &str) {
        self.peer.write_all(text.as_bytes()).await.unwrap();
    }
    async fn hear(&mut self, text: &str) {
        let mut heard = vec![0; text.len()];
        self.peer.read_exact(&mut heard).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&heard), text);
    }
    async fn hear_end(&mut self) {
        let mut rest = Vec::new();
        self.peer.read_to_end(&mut rest).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "");
        self.ended.recv().await.unwrap();
    }
}

#[tokio::test]
async fn answers_whole_split_and_pipelined_lines() {
    let mut run = start();
    run.say("one\ntwo\nthr").await;
    run.hear("one\ntwo\n").await;
    run.say("ee\nend\nnever\n").await;
    run.hear("three\n").await;
    run.hear_end().await;
}

#[tokio::test]
async fn the_peers_end_ends_the_session() {
    let mut run = start();
    run.say("last\n").await;
    run.hear("last\n").await;
    run.peer.shutdown().await.unwrap();
    run.hear_end().await;
}

#[tokio::test]
async fn a_slow_reader_bounds_what_is_held() {
    let mut run = start();
    run.say("big\n").await;
    let mut all = vec![0; 100 * 64 * 1024 + 1];
    run.peer.read_exact(&mut all).await.unwrap();
    assert!(all.ends_with(b"x\n"));
    run.say("end\n").await;
    run.hear_end().await;
}

/// A21: who takes an octet now and then is let go like somebody who takes nothing.
#[tokio::test(start_paused = true)]
async fn a21_a_reader_of_a_trickle_is_let_go() {
    for taken in [0, 1024] {
        let mut run = start();
        let begun = Instant::now();
        run.say("big\n").await;
        let mut piece = vec![0; taken];
        while run.ended.try_recv().is_err() {
            run.peer.read_exact(&mut piece).await.unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(begun.elapsed() < WRITE_PATIENCE * 3, "{taken}");
        }
        assert!(begun.elapsed() >= WRITE_PATIENCE, "{taken}");
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_and_a_trickle_is_silence() {
    let mut run = start();
    tokio::time::sleep(SILENCE / 2).await;
    run.say("here\n").await;
    run.hear("here\n").await;
    let start = Instant::now();
    for _ in 0..5 {
        run.say("x").await;
        tokio::time::sleep(SILENCE / 10).await;
    }
    run.hear("timeout\n").await;
    assert_eq!(start.elapsed().as_secs(), SILENCE.as_secs());
    run.hear_end().await;
}

#[tokio::test(start_paused = true)]
async fn pieces_of_a_message_count_by_their_octets() {
    let mut run = start();
    let start = Instant::now();
    for _ in 0..8 {
        run.say("data\n").await;
        tokio::time::sleep(SILENCE / 10).await;
    }
    run.hear("timeout\n").await;
    assert_eq!(start.elapsed().as_secs(), SILENCE.as_secs());
    run.hear_end().await;
    let mut run = self::start();
    for _ in 0..30 {
        run.say(&"data\n".repeat(PROGRESS_OCTETS / 10)).await;
        tokio::time::sleep(SILENCE / 10).await;
    }
    run.say("still here\n").await;
    run.hear("still here\n").await;
}

#[tokio::test]
async fn wakes_while_waiting_and_merges() {
    let mut run = start();
    run.say("up\n").await;
    run.hear("up\n").await;
    run.wake.wake();
    run.wake.wake();
    run.hear("woken\n").await;
    run.say("end\n").await;
    run.hear_end().await;
}

#[tokio::test]
async fn stopping_says_goodbye_once_and_closes() {
    let mut run = start();
    run.say("a\n").await;
    run.hear("a\n").await;
    run.wake.stop();
    run.hear("bye\n").await;
    run.hear_end().await;
}

#[tokio::test]
async fn a_panic_ends_its_task_only() {
    let mut other = start();
    let mut run = start();
    run.say("boom\n").await;
    assert!(run.task.await.unwrap_err().is_panic());
    other.say("fine\n").await;
    other.hear("fine\n").await;
    assert!(!other.task.is_finished());
}

/// Whoever does not log in has to go after a while, however much it says; whoever did may stay.
#[tokio::test(start_paused = true)]
async fn talk_without_a_login_ends() {
    let mut run = start();
    run.say("stranger\n").await;
    let start = Instant::now();
    while start.elapsed() + SILENCE < LOGIN_PATIENCE {
        tokio::time::sleep(SILENCE / 2).await;
        run.say("noop\n").await;
        run.hear("noop\n").await;
    }
    run.say("login\nhere\n").await;
    run.hear("here\n").await;
    for _ in 0..4 {
        tokio::time::sleep(SILENCE / 2).await;
        run.say("noop\n").await;
        run.hear("noop\n").await;
    }
    run.say("stranger\nhere\n").await;
    run.hear("here\ntimeout\n").await;
    run.hear_end().await;
}

/// What is under way when the server ends may end, for a moment.
#[tokio::test(start_paused = true)]
async fn what_does_not_end_with_the_server_is_cut() {
    let mut run = start();
    run.say("stay\nhere\n").await;
    run.hear("here\n").await;
    run.wake.stop();
    let start = Instant::now();
    tokio::time::sleep(LAST_MESSAGE_PATIENCE / 2).await;
    run.say("more\n").await;
    run.hear("more\n").await;
    run.hear("cut\n").await;
    assert!(start.elapsed() <= LAST_MESSAGE_PATIENCE + Duration::from_millis(100));
    run.hear_end().await;
}
