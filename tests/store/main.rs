//! The store as a program, for trials by hand and by script: its address on the first line, its log at `/?log`.

#[path = "mod.rs"]
#[expect(dead_code, reason = "the handle is for tests; the program only starts a store")]
mod store;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// A store that behaves and misbehaves like S3. It ends after `--seconds` or with a signal.
#[derive(Parser)]
#[command(name = "store")]
struct Flags {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Keep objects as files below this folder; in memory if absent
    #[arg(long)]
    folder: Option<PathBuf>,
    /// A bucket that exists at the start; may be repeated
    #[arg(long, default_value = "bucket")]
    bucket: Vec<String>,
    /// Ask for no signatures
    #[arg(long)]
    anonymous: bool,
    /// The access key
    #[arg(long, default_value = "test")]
    access_key: String,
    /// The secret of the access key
    #[arg(long, default_value = "secret")]
    secret_key: String,
    /// The region that signatures have to name
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// The most keys in a page of a listing
    #[arg(long, default_value_t = 1000)]
    max_page_keys: usize,
    /// The least bytes of a part that is not the last
    #[arg(long, default_value_t = 5 << 20)]
    min_part_bytes: u64,
    /// Seed of the misbehaviour
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Share of requests answered 500
    #[arg(long, default_value_t = 0.0)]
    fail: f64,
    /// Share of requests answered 503
    #[arg(long, default_value_t = 0.0)]
    throttle: f64,
    /// Value of `Retry-After` in those answers
    #[arg(long, default_value_t = 0)]
    retry_after_secs: u64,
    /// Share of GET bodies that end early
    #[arg(long, default_value_t = 0.0)]
    cut: f64,
    /// Share of PUTs whose connection is closed in the middle of the body
    #[arg(long, default_value_t = 0.0)]
    cut_put: f64,
    /// Share of PUTs, POSTs and DELETEs that are carried out but not answered
    #[arg(long, default_value_t = 0.0)]
    lost: f64,
    /// Share of GETs that announce more bytes than they send
    #[arg(long, default_value_t = 0.0)]
    wrong_length: f64,
    /// Share of GETs of objects answered 200 with an error page
    #[arg(long, default_value_t = 0.0)]
    html_error: f64,
    /// Bytes per second of one body
    #[arg(long)]
    slow: Option<u64>,
    /// Milliseconds before a request is looked at
    #[arg(long, default_value_t = 0)]
    delay_millis: u64,
    /// Bytes that fit into the store
    #[arg(long)]
    capacity_bytes: Option<u64>,
    /// Keys with this prefix are forbidden
    #[arg(long)]
    forbid: Option<String>,
    /// How far the store's clock goes ahead
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    clock_offset_secs: i64,
    /// When the program ends
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
}

#[expect(clippy::print_stdout, reason = "whoever starts the program reads the address")]
fn main() {
    let flags = Flags::parse();
    let seconds = flags.seconds;
    let store = store::Store::start(options(flags));
    println!("{}", store.url());
    std::thread::sleep(Duration::from_secs(seconds));
}

fn options(flags: Flags) -> store::Options {
    store::Options {
        port: flags.port,
        buckets: flags.bucket,
        folder: flags.folder,
        anonymous: flags.anonymous,
        access_key: flags.access_key,
        secret_key: flags.secret_key,
        region: flags.region,
        max_page_keys: flags.max_page_keys,
        min_part_bytes: flags.min_part_bytes,
        seed: flags.seed,
        faults: store::Faults {
            fail: flags.fail,
            throttle: flags.throttle,
            retry_after_secs: flags.retry_after_secs,
            cut: flags.cut,
            cut_put: flags.cut_put,
            lost: flags.lost,
            wrong_length: flags.wrong_length,
            html_error: flags.html_error,
            slow: flags.slow,
            delay: Duration::from_millis(flags.delay_millis),
            capacity_bytes: flags.capacity_bytes,
            forbid: flags.forbid,
            clock_offset_secs: flags.clock_offset_secs,
        },
    }
}
