//! One connection from its first byte to its end, with a deadline for whatever it waits for.
//!
//! One timer per connection, set when it opens. It is moved only when a deadline comes nearer; a deadline that moves
//! away is noticed when the timer fires. So a busy connection touches the timer about once per idle limit, not once
//! per request.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::activity::{Activity, Answer, Phase, Step, Watched, WriteStep};
use super::limits::{Limits, Permit};
use super::{Application, PeerAddr, Server};

/// How long a handler that was told of a late body has to answer. One that reads it in another task is not woken;
/// closing the connection ends its wait.
const LATE_BODY_GRACE: Duration = Duration::from_secs(1);

/// A connection that is closed with bytes unread is reset, and the reset may destroy the answer (431, 413) before the
/// client has read it. So what still comes is read and thrown away, this long and this much of it.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// Where the timer is put while nothing is due.
const FAR_AWAY: Duration = Duration::from_hours(1);

/// Why a connection ended.
enum End {
    /// hyper is done with it; false if it had a quarrel with what came in.
    Served(bool),
    /// A deadline passed.
    TimedOut(&'static str),
    /// The drain deadline of the shutdown passed.
    Stopped,
}

/// Serves requests on `stream` until it ends, its time is over or the server closes. The permit, being an argument, is
/// given back after the socket is closed.
pub(super) async fn run<A: Application>(
    server: Arc<Server<A>>,
    stream: TcpStream,
    peer: PeerAddr,
    _permit: Permit,
) {
    let activity = Arc::new(Activity::new());
    let service = service_fn({
        let activity = Arc::clone(&activity);
        let app = server.app.clone();
        move |request: Request<Incoming>| {
            // Here and not in the answer's future: hyper reads on before it first polls that.
            let request = request.map(|body| activity.begin(body));
            answer(app.clone(), Arc::clone(&activity), request, peer)
        }
    });
    let socket = TokioIo::new(Watched {
        stream,
        activity: Arc::clone(&activity),
    });
    let mut http = server.http.serve_connection(socket, service);

    let end = {
        let mut timer = pin!(sleep(server.limits.first_byte));
        let mut deadlines = Deadlines::new(&server.limits, &activity, timer.deadline());
        let mut drain = pin!(server.stop.drain.cancelled());
        let mut close = pin!(server.stop.close.cancelled());
        let mut seen_stage = None;
        poll_fn(|cx| {
            let stage = server.stop.stage();
            if seen_stage != Some(stage) {
                seen_stage = Some(stage);
                if close.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(End::Stopped);
                }
                if drain.as_mut().poll(cx).is_ready() {
                    Pin::new(&mut http).graceful_shutdown();
                }
            }
            loop {
                if let Poll::Ready(result) = Pin::new(&mut http).poll(cx) {
                    return Poll::Ready(End::Served(result.is_ok()));
                }
                match deadlines.check(timer.as_mut(), cx) {
                    Check::Wait => return Poll::Pending,
                    Check::TellHandler => activity.expire_body(),
                    Check::Close(what) => return Poll::Ready(End::TimedOut(what)),
                }
            }
        })
        .await
    };
    match end {
        End::Served(true) if !activity.body_left_unread() => {}
        End::Served(_) => Box::pin(linger(http.into_parts().io.into_inner().stream)).await,
        End::TimedOut(phase) => {
            metrics::counter!("einklang_connections_timed_out_total", "phase" => phase).increment(1);
        }
        End::Stopped => {}
    }
}

/// Hands a request to the application and its answer to hyper.
async fn answer<A: Application>(
    app: A,
    activity: Arc<Activity>,
    request: Request<Body>,
    peer: PeerAddr,
) -> Result<Response<Answer>, Infallible> {
    let mut response = app.answer(request, peer).await;
    if activity.body_timed_out() {
        tell_timeout(&mut response);
    }
    Ok(response.map(|inner| Answer { inner, activity }))
}

/// The application cannot always tell a late body from a broken one and may call it a bad request. An answer that is no
/// error stands: the handler did not need the body.
fn tell_timeout(response: &mut Response<Body>) {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if is_error && status != StatusCode::REQUEST_TIMEOUT {
        *response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
    }
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}

/// Sends the end of the answers and throws away what still comes, for a while.
async fn linger(mut stream: TcpStream) {
    let discard = async {
        stream.shutdown().await?;
        let mut buffer = vec![0; 8 * 1024];
        let mut seen_bytes = 0;
        while seen_bytes < LINGER_BYTES {
            match stream.read(&mut buffer).await? {
                0 => break,
                n => seen_bytes += n,
            }
        }
        std::io::Result::Ok(())
    };
    // Whatever comes of it, the connection ends here.
    let _ = timeout(LINGER, discard).await;
}

/// What to do after hyper has done what it can for now.
#[derive(Clone, Copy)]
enum Check {
    Wait,
    TellHandler,
    Close(&'static str),
}

/// When the present waits are over.
struct Deadlines<'a> {
    limits: &'a Limits,
    activity: &'a Activity,
    step: Step,
    step_ends: Option<Instant>,
    write_step: WriteStep,
    write_ends: Option<Instant>,
}

impl<'a> Deadlines<'a> {
    fn new(limits: &'a Limits, activity: &'a Activity, first: Instant) -> Self {
        let (step, write_step) = (activity.step(), activity.write_step());
        Self {
            limits,
            activity,
            step,
            step_ends: Some(first),
            write_step,
            write_ends: None,
        }
    }

    /// Notes what changed since the last look, and leaves the timer set for what is due next.
    fn check(&mut self, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Check {
        self.observe();
        let due = self.due();
        if let Some((at, _)) = due
            && at < timer.deadline()
        {
            timer.as_mut().reset(at);
        }
        while timer.as_mut().poll(cx).is_ready() {
            match due {
                Some((at, then)) if at <= timer.deadline() => return then,
                Some((at, _)) => timer.as_mut().reset(at),
                None => timer.set(sleep(FAR_AWAY)),
            }
        }
        Check::Wait
    }

    fn observe(&mut self) {
        let (step, write_step) = (self.activity.step(), self.activity.write_step());
        let stepped = step != self.step;
        let wrote = write_step != self.write_step;
        (self.step, self.write_step) = (step, write_step);
        if wrote {
            self.write_ends = write_step.is_blocked().then(|| after(self.limits.write));
        }
        // An answer that still goes out is not idle: that wait begins when the last of it is gone.
        if stepped || (wrote && step.phase() == Phase::Idle) {
            self.step_ends = self.limit().map(after);
        }
    }

    fn limit(&self) -> Option<Duration> {
        match self.step.phase() {
            Phase::FirstByte => Some(self.limits.first_byte),
            Phase::Header => Some(self.limits.header),
            Phase::Body => Some(self.limits.body),
            Phase::LateBody => Some(LATE_BODY_GRACE),
            Phase::Idle if !self.write_step.is_blocked() => Some(self.limits.idle),
            Phase::Idle | Phase::Handler => None,
        }
    }

    /// The nearest deadline, and what it brings.
    fn due(&self) -> Option<(Instant, Check)> {
        let phase = self.step.phase();
        let then = if phase == Phase::Body {
            Check::TellHandler
        } else {
            Check::Close(phase.as_str())
        };
        let step = self.step_ends.map(|at| (at, then));
        let write = self.write_ends.map(|at| (at, Check::Close("write")));
        [step, write].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// The end of a wait that begins now: that of a timer which is not started, only asked.
fn after(limit: Duration) -> Instant {
    sleep(limit).deadline()
}
