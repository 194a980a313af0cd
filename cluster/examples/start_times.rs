//! How fast local clusters start: `cargo run --release -p ackmark-cluster --example start_times -- [STARTS]`.
//!
//! The first start, which may fetch jars and train, is not counted.

use ackmark_cluster::{Local, LocalOptions};

#[allow(clippy::print_stdout, reason = "its figures are its data")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let starts: usize = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let options = LocalOptions::default();
    Local::start(&options, &|line| eprintln!("{line}"))?.stop()?;
    let mut seconds = Vec::with_capacity(starts);
    for _ in 0..starts {
        let local = Local::start(&options, &|_| {})?;
        let cpu = local.cpu().ok_or("a node ended")?.total_s();
        println!("{:.2} s, {cpu:.2} s of processor time", local.started_in().as_secs_f64());
        seconds.push(local.started_in().as_secs_f64());
        local.stop()?;
    }
    seconds.sort_by(f64::total_cmp);
    println!("median of {starts}: {:.2} s", seconds[seconds.len() / 2]);
    Ok(())
}
