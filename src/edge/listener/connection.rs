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

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tower::Service as _;

use super::activity::{Activity, Answer, Phase, Step, Watched, WriteStep};
use super::limits::{Limits, Permit};
use super::{PeerAddr, Server};

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

/// Serves requests on `stream` until it ends, its time is over or the server closes.
pub(super) async fn run(server: Arc<Server>, stream: TcpStream, peer: PeerAddr, permit: Permit) {
    let activity = Arc::new(Activity::new());
    let service = service_fn({
        let activity = Arc::clone(&activity);
        let router = server.router.clone();
        move |request: Request<Incoming>| {
            // Here and not in the answer's future: hyper reads on before it first polls that.
            let mut request = request.map(|body| activity.begin(body));
            request.extensions_mut().insert(peer);
            answer(router.clone(), Arc::clone(&activity), request)
        }
    });
    let socket = TokioIo::new(Watched {
        stream,
        activity: Arc::clone(&activity),
    });
    let mut http = server.http.serve_connection(socket, service);

    let end = {
        let mut deadlines = Deadlines::new(&server.limits, &activity);
        let mut timer = pin!(sleep_until(deadlines.since + server.limits.first_byte));
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
    drop(permit);
}

/// Hands a request to the router and its answer to hyper.
async fn answer(
    mut router: Router,
    activity: Arc<Activity>,
    request: Request<Body>,
) -> Result<Response<Answer>, Infallible> {
    let mut response = router.call(request).await?;
    if activity.body_timed_out() {
        tell_timeout(&mut response);
    }
    Ok(response.map(|inner| Answer { inner, activity }))
}

/// The router cannot always tell a late body from a broken one and may call it a bad request. An answer that is no
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

/// When the present wait began, and so when it is over.
struct Deadlines<'a> {
    limits: &'a Limits,
    activity: &'a Activity,
    step: Step,
    since: Instant,
    write_step: WriteStep,
    write_since: Instant,
}

impl<'a> Deadlines<'a> {
    fn new(limits: &'a Limits, activity: &'a Activity) -> Self {
        let now = Instant::now();
        Self {
            limits,
            activity,
            step: activity.step(),
            since: now,
            write_step: activity.write_step(),
            write_since: now,
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
            let now = Instant::now();
            match due {
                Some((at, then)) if at <= now => return then,
                Some((at, _)) => timer.as_mut().reset(at),
                None => timer.as_mut().reset(now + FAR_AWAY),
            }
        }
        Check::Wait
    }

    /// The clock is read only here, after something changed, and once for all that did.
    fn observe(&mut self) {
        let (step, write_step) = (self.activity.step(), self.activity.write_step());
        if step == self.step && write_step == self.write_step {
            return;
        }
        let now = Instant::now();
        if write_step != self.write_step {
            self.write_since = now;
        }
        // An answer that still goes out is not idle: that wait begins when the last of it is gone.
        if step != self.step || step.phase() == Phase::Idle {
            self.since = now;
        }
        (self.step, self.write_step) = (step, write_step);
    }

    /// The nearest deadline, and what it brings.
    fn due(&self) -> Option<(Instant, Check)> {
        let blocked = self.write_step.is_blocked();
        let phase = self.step.phase();
        let limit = match phase {
            Phase::FirstByte => Some(self.limits.first_byte),
            Phase::Header => Some(self.limits.header),
            Phase::Body => Some(self.limits.body),
            Phase::LateBody => Some(LATE_BODY_GRACE),
            Phase::Idle if !blocked => Some(self.limits.idle),
            Phase::Idle | Phase::Handler => None,
        };
        let then = if phase == Phase::Body {
            Check::TellHandler
        } else {
            Check::Close(phase.as_str())
        };
        let wait = limit.map(|limit| (self.since + limit, then));
        let write = blocked.then(|| (self.write_since + self.limits.write, Check::Close("write")));
        [wait, write].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}
