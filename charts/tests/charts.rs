//! Every chart over made-up results from plain to extreme: texts are inside and apart, figures are right.
#![allow(clippy::unwrap_used)]

mod synthetic;

use std::{
    fs,
    path::{Path, PathBuf},
};

use ackmark_charts::{Charts, render};
use ackmark_schema::{
    anomaly::Class,
    report::{Ending, verify::Verdict},
    result::{Provider, RunResult},
};
use resvg::{tiny_skia, usvg};
use synthetic::{Run, find};

/// A folder for one case, kept for looking at.
fn folder(case: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("charts").join(case);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    folder
}

/// Renders and checks what holds for every chart.
fn draw(case: &str, run: &Run, result: &RunResult) -> Charts {
    let folder = folder(case);
    run.write_timelines(result, &folder);
    let charts = render(result, &folder, &folder).unwrap();
    for chart in &charts.rendered {
        let svg = fs::read_to_string(&chart.svg).unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf,"), "{case}/{}", chart.name);
        assert!(svg.contains("role=\"img\"") && svg.contains("<title") && svg.contains("<desc"));
        assert_texts_are_inside_and_apart(&format!("{case}/{}", chart.name), &svg);
        assert_text_is_drawn(&chart.svg, &svg, &chart.png);
    }
    charts
}

fn svg(charts: &Charts, name: &str) -> String {
    let chart = charts.rendered.iter().find(|chart| chart.name == name).unwrap_or_else(|| panic!("no {name}"));
    fs::read_to_string(&chart.svg).unwrap()
}

fn title<'a>(charts: &'a Charts, name: &str) -> &'a str {
    &charts.rendered.iter().find(|chart| chart.name == name).unwrap_or_else(|| panic!("no {name}")).title
}

fn why<'a>(charts: &'a Charts, name: &str) -> &'a str {
    &charts.skipped.iter().find(|chart| chart.name == name).unwrap_or_else(|| panic!("{name} was drawn")).why
}

fn tree(svg: &str) -> usvg::Tree {
    let mut options = usvg::Options::default();
    for face in ["DejaVuSans-subset.ttf", "DejaVuSans-Bold-subset.ttf"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fonts").join(face);
        options.fontdb_mut().load_font_data(fs::read(path).unwrap());
    }
    usvg::Tree::from_str(svg, &options).unwrap()
}

/// Each text with the box of its outlines, in pixels.
fn texts(tree: &usvg::Tree) -> Vec<(String, tiny_skia::Rect)> {
    fn walk(group: &usvg::Group, found: &mut Vec<(String, tiny_skia::Rect)>) {
        for node in group.children() {
            match node {
                usvg::Node::Group(group) => walk(group, found),
                usvg::Node::Text(text) => {
                    let words: String = text.chunks().iter().map(usvg::TextChunk::text).collect();
                    let outline = text.flattened().abs_bounding_box();
                    found.push((words, outline.to_non_zero_rect().unwrap().to_rect()));
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(tree.root(), &mut found);
    found
}

fn assert_texts_are_inside_and_apart(case: &str, svg: &str) {
    let tree = tree(svg);
    let texts = texts(&tree);
    assert!(texts.len() > 5, "{case}: only {} texts", texts.len());
    let (width, height) = (tree.size().width(), tree.size().height());
    assert!((width - 960.0).abs() < 0.1, "{case}: {width} px wide");
    for (at, (text, area)) in texts.iter().enumerate() {
        assert!(
            area.left() >= 4.0 && area.top() >= 4.0 && area.right() <= width - 4.0 && area.bottom() <= height - 4.0,
            "{case}: \"{text}\" is cut: {area:?} in {width} x {height}"
        );
        for (other, other_area) in &texts[..at] {
            let apart = area.left() >= other_area.right() + 1.5
                || other_area.left() >= area.right() + 1.5
                || area.top() >= other_area.bottom()
                || other_area.top() >= area.bottom();
            assert!(apart, "{case}: \"{text}\" {area:?} meets \"{other}\" {other_area:?}");
        }
    }
}

/// In the PNG, dark pixels stand where each text of the SVG is: no text has vanished for want of a font.
fn assert_text_is_drawn(case: &Path, svg: &str, png: &Path) {
    let image = tiny_skia::Pixmap::decode_png(&fs::read(png).unwrap()).unwrap();
    assert_eq!(image.width(), 1920);
    for (text, area) in texts(&tree(svg)) {
        let range = |from: f32, to: f32| (from * 2.0) as u32..(to * 2.0).ceil() as u32;
        let dark = range(area.top(), area.bottom()).any(|y| {
            range(area.left(), area.right())
                .any(|x| image.pixel(x, y).is_some_and(|p| p.red() < 0xb0 && p.green() < 0xb0 && p.blue() < 0xb0))
        });
        assert!(dark, "{}: \"{text}\" is not in the PNG", case.display());
    }
}

#[test]
#[should_panic(expected = "meets")]
fn the_check_of_texts_sees_an_overlap() {
    assert_texts_are_inside_and_apart("overlap", &six_texts(&[20, 40, 60, 80, 100, 104]));
}

#[test]
#[should_panic(expected = "is cut")]
fn the_check_of_texts_sees_a_text_that_is_cut() {
    assert_texts_are_inside_and_apart("cut", &six_texts(&[20, 40, 60, 80, 100, 200]));
}

fn six_texts(baselines: &[i32; 6]) -> String {
    let text = |y: &i32| format!("<text x=\"10\" y=\"{y}\" font-family=\"DejaVu Sans\" font-size=\"14\">text</text>");
    let texts: String = baselines.iter().map(text).collect();
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"960\" height=\"202\">{texts}</svg>")
}

#[test]
fn a_full_run_draws_every_chart_with_its_finding() {
    let run = Run { unsteady: 1, ..Run::default() };
    let mut result = run.result();
    find(&mut result, "leader-ack", Class::DuplicateRetry, 12, Verdict::NotJudged);
    let charts = draw("full", &run, &result);
    assert!(charts.skipped.is_empty(), "{:?}", charts.skipped);
    let names: Vec<_> = charts.rendered.iter().map(|chart| chart.name.as_str()).collect();
    assert_eq!(names, ["throughput", "cost", "transactions", "latency", "timeline", "verdicts"]);
    assert_eq!(charts.files().count(), 12);
    assert!(title(&charts, "throughput").starts_with("at-most-once delivers 6"), "{}", title(&charts, "throughput"));
    assert_eq!(
        title(&charts, "cost"),
        "Throughput relative to at-most-once: leader-ack 0.90×, all-acks 0.81×, idempotent 0.73×, transactional 0.66×"
    );
    assert!(svg(&charts, "cost").contains("✗ refuted: transactional delivers 0.81 of all-acks"));
    assert!(svg(&charts, "latency").contains("written to socket, not acknowledged"));
    assert!(title(&charts, "latency").contains("(leader-ack) to"), "{}", title(&charts, "latency"));
    assert!(svg(&charts, "throughput").contains("hollow: left out"));
    assert!(svg(&charts, "throughput").contains("1 left out"));
    assert!(svg(&charts, "throughput").contains("on the same 2 cores"));
    assert!(title(&charts, "verdicts").contains("allowed: 12 duplicate (same attempt) with leader-ack"));
}

#[test]
fn a_broken_promise_is_the_title() {
    let run = Run::default();
    let mut result = run.result();
    find(&mut result, "all-acks", Class::Lost, 1_234, Verdict::Broken);
    find(&mut result, "idempotent", Class::DuplicateRetry, 3, Verdict::Broken);
    find(&mut result, "transactional", Class::StuckLso, 2, Verdict::Broken);
    let charts = draw("broken", &run, &result);
    assert!(
        title(&charts, "verdicts").starts_with("BROKEN: all-acks: lost 1,234 of 36,123,456 and 2 more broken"),
        "{}",
        title(&charts, "verdicts")
    );
    let svg = svg(&charts, "verdicts");
    for expected in ["✗ 1,234", "✗ 3", "✗ transactional: 2 × stuck LSO", "✗ broken", "(✓) 0"] {
        assert!(svg.contains(expected), "{expected}");
    }
}

#[test]
fn a_class_that_was_not_examined_is_never_zero() {
    let run = Run { profiles: vec!["all-acks".into()], ..Run::default() };
    let mut result = run.result();
    let broken = draw("examined", &run, &result);
    assert!(!svg(&broken, "verdicts").contains(">\n–\n</text>"));
    for finding in &mut result.verdicts[0].findings {
        if finding.class == Class::Corrupt {
            finding.examined = ackmark_schema::report::verify::Examined::NotExamined { why: "no checksum".into() };
        }
    }
    let charts = draw("not-examined", &run, &result);
    assert!(svg(&charts, "verdicts").contains(">\n–\n</text>"));
    assert!(svg(&charts, "verdicts").contains("corrupt (not examined)"));
}

#[test]
fn the_title_claims_no_more_than_was_judged() {
    let run = Run::default();
    let mut result = run.result();
    let headline = |charts: &Charts| title(charts, "verdicts").split(';').next().unwrap().to_owned();
    result.verdicts[1].verdict = Verdict::Held;
    assert_eq!(headline(&draw("held", &run, &result)), "Every promise held");
    result.verdicts.pop();
    assert_eq!(headline(&draw("held-some", &run, &result)), "Every promise that was judged held");
    for verdict in &mut result.verdicts {
        verdict.verdict = Verdict::NotJudged;
    }
    assert_eq!(headline(&draw("not-judged", &run, &result)), "No promise was judged");
}

#[test]
fn one_trial_has_no_interval_and_says_so() {
    let run = Run { rounds: 1, ..Run::default() };
    let charts = draw("one-trial", &run, &run.result());
    assert!(svg(&charts, "throughput").contains("1 trial, no interval"));
    assert!(svg(&charts, "throughput").contains("no interval of the median: too few trials"));
    assert!(svg(&charts, "cost").contains("1 pair, no interval"));
    assert!(svg(&charts, "cost").contains("? inconclusive"));
}

#[test]
fn an_interrupted_run_draws_what_it_has() {
    let run = Run { ending: Ending::Interrupted, ..Run::default() };
    let mut result = run.result();
    result.trials.retain(|trial| trial.phase == "max" && trial.profile == "all-acks" && trial.round < 2);
    result.trials[1].ending = Ending::Interrupted;
    result.summaries.clear();
    result.comparisons.clear();
    result.claims.clear();
    result.verdicts.clear();
    let charts = draw("interrupted", &run, &result);
    assert!(svg(&charts, "throughput").contains("INTERRUPTED: 1 of 45 planned trials completed"));
    // The trial that completed has no summary yet: its figure stands without an interval.
    assert_eq!(title(&charts, "throughput"), "all-acks delivers 514k messages/s");
    assert!(svg(&charts, "throughput").contains("1 trial, no interval, 1 left out"));
    assert!(svg(&charts, "throughput").contains("not measured"));
    assert!(title(&charts, "timeline").contains("(all-acks)"));
    assert!(why(&charts, "cost").contains("no pair of trials"));
    assert!(why(&charts, "latency").contains("no trial of phase rate"));
    assert_eq!(why(&charts, "verdicts"), "no trial was verified");
}

#[test]
fn without_a_valid_trial_there_is_no_headline() {
    let run = Run { profiles: vec!["all-acks".into()], unsteady: 6, ..Run::default() };
    let charts = draw("unsteady", &run, &run.result());
    assert_eq!(title(&charts, "throughput"), "No profile has a trial whose throughput may be used");
    assert!(svg(&charts, "throughput").contains("6 trials ran, 6 left out"));
}

#[test]
fn nothing_measured_skips_every_chart_with_a_reason() {
    let run = Run { ending: Ending::Failed, ..Run::default() };
    let mut result = run.result();
    result.trials.clear();
    result.summaries.clear();
    result.comparisons.clear();
    result.claims.clear();
    result.verdicts.clear();
    result.scenario.phases.remove(1);
    let charts = draw("nothing", &run, &result);
    assert!(charts.rendered.is_empty());
    assert_eq!(charts.skipped.len(), 6);
    assert!(why(&charts, "latency").contains("no phase with load.rate"));
    assert!(why(&charts, "timeline").contains("no trial has ended"));
}

/// `all-acks` and these, with transactions.
fn with_transactions(names: &[&str]) -> Vec<String> {
    ["all-acks", "idempotent"].iter().chain(names).map(ToString::to_string).collect()
}

#[test]
fn transactions_trade_throughput_for_time() {
    let profiles = with_transactions(&[
        "transactional",
        "transactional-10ms",
        "transactional-1s",
        "transactional-100-messages",
        "transactional-10k-messages",
        "transactional-50k-outstanding",
        "transactional-100k-outstanding",
    ]);
    let run = Run { profiles, rounds: 3, unsteady: 1, ..Run::default() };
    let charts = draw("transactions", &run, &run.result());
    assert_eq!(
        title(&charts, "transactions"),
        "transactional delivers 0.81× of all-acks with 18.0\u{a0}ms per transaction, the most and in the least time"
    );
    let svg = svg(&charts, "transactions");
    for expected in [
        "612k/s, no transactions",
        "18.0\u{a0}ms, 506k/s",
        "every 100ms, 500k outstanding",
        "sending 5.40\u{a0}ms, flush 10.8\u{a0}ms, commit 1.80\u{a0}ms",
        "18.0\u{a0}ms, stalled 70\u{a0}%",
        "Hollow: left out",
    ] {
        assert!(svg.contains(expected), "{expected}");
    }
    assert!(!svg.contains("A line:"), "each trial has a median");
}

#[test]
fn the_fastest_and_the_quickest_transactions_are_both_the_finding() {
    let run = Run { profiles: with_transactions(&["transactional", "transactional-1s"]), ..Run::default() };
    let mut result = run.result();
    for summary in result.summaries.iter_mut().filter(|summary| summary.profile == "transactional-1s") {
        if let Some(estimate) = &mut summary.delivered_per_s {
            estimate.median = 600_000.0;
        }
    }
    for found in result.comparisons.iter_mut().filter(|found| found.profile == "transactional-1s") {
        found.ratio = 0.98;
    }
    let found = draw("trade", &run, &result);
    assert_eq!(
        title(&found, "transactions"),
        "transactional-1s delivers 0.98× of all-acks with 36.0\u{a0}ms per transaction, transactional 0.81× with 18.0\u{a0}ms"
    );
    // Without a pair of trials, in figures of their own.
    result.comparisons.clear();
    let found = draw("trade-without-pairs", &run, &result);
    assert_eq!(
        title(&found, "transactions"),
        "transactional-1s delivers 600k messages/s with 36.0\u{a0}ms per transaction, transactional 506k with 18.0\u{a0}ms"
    );
}

#[test]
fn too_few_transactions_have_a_range_and_no_median() {
    let run = Run { profiles: with_transactions(&["transactional"]), rounds: 1, transactions: 2, ..Run::default() };
    let charts = draw("few-transactions", &run, &run.result());
    assert_eq!(title(&charts, "transactions"), "Too few transactions were committed for a median of their times");
    let text = svg(&charts, "transactions");
    assert!(text.contains("A line: the shortest to the longest"));
    assert!(text.contains("too few transactions for a median") && text.contains("2 transactions: needs 6"), "{text}");
    // Their number over three trials is enough, that of each is not.
    let run = Run { rounds: 3, ..run };
    let charts = draw("few-transactions-each", &run, &run.result());
    assert!(svg(&charts, "transactions").contains("A line: the shortest to the longest"));
    assert!(title(&charts, "transactions").starts_with("transactional delivers 0.81× of all-acks with"));
}

#[test]
fn transactions_of_trials_that_are_left_out_have_no_median() {
    let run = Run { profiles: with_transactions(&["transactional"]), rounds: 2, unsteady: 2, ..Run::default() };
    let mut result = run.result();
    for summary in &mut result.summaries {
        summary.transactions = None;
    }
    let charts = draw("transactions-left-out", &run, &result);
    assert_eq!(title(&charts, "transactions"), "No profile with transactions has a trial whose figures may be used");
    assert!(svg(&charts, "transactions").contains("every trial is left out"));
}

#[test]
fn without_transactions_there_is_no_chart_of_them() {
    let run = Run { profiles: with_transactions(&[]), ..Run::default() };
    assert_eq!(why(&draw("no-transactions", &run, &run.result()), "transactions"), "no profile has transactions");
    let run = Run { profiles: with_transactions(&["transactional"]), ..run };
    let mut result = run.result();
    for trial in &mut result.trials {
        trial.load.as_mut().unwrap().transactions = None;
    }
    assert!(
        why(&draw("none-committed", &run, &result), "transactions").contains("phase max has reported a transaction")
    );
    // A result of an earlier version has them in its trials alone.
    let mut result = run.result();
    for summary in &mut result.summaries {
        summary.transactions = None;
    }
    let charts = draw("transactions-of-trials", &run, &result);
    assert!(!svg(&charts, "transactions").contains("How a transaction"));
}

#[test]
fn a_simulated_run_says_so_on_every_chart() {
    let run = Run { provider: Provider::Simulated, ..Run::default() };
    let mut result = run.result();
    for verdict in &mut result.verdicts {
        verdict.verdict = Verdict::Inconclusive;
        for finding in verdict.findings.iter_mut().filter(|finding| finding.verdict == Verdict::HeldUnprovoked) {
            finding.verdict = Verdict::Inconclusive;
        }
    }
    let charts = draw("simulated", &run, &result);
    assert_eq!(charts.rendered.len(), 6);
    for chart in &charts.rendered {
        let svg = fs::read_to_string(&chart.svg).unwrap();
        assert!(svg.contains("SIMULATED: librdkafka mock cluster, proves nothing about Kafka"), "{}", chart.name);
        assert!(!svg.contains("same 2 cores"), "{}", chart.name);
    }
    assert!(title(&charts, "verdicts").starts_with("Inconclusive, as every simulated run is"));
    assert!(!svg(&charts, "verdicts").contains("✓ 0"));
}

#[test]
fn ten_profiles_with_the_longest_names_fit() {
    let long = |at: u32| format!("profile-with-the-longest-possible-name-{at}");
    let mut profiles: Vec<String> = vec!["at-most-once".into()];
    profiles.extend((0..9).map(long));
    assert_eq!(profiles[1].len(), 40);
    let run = Run { profiles, unsteady: 6, ..Run::default() };
    let mut result = run.result();
    result.id = "2026-01-02-a-host-whose-name-is-as-long-as-the-name-of-a-host-can-well-be-delivery".repeat(3);
    let charts = draw("ten-profiles", &run, &result);
    assert_eq!(charts.rendered.len(), 5);
    assert!(svg(&charts, "throughput").contains("no valid trial"));
}

#[test]
fn extreme_values_are_drawn() {
    let huge = Run { fastest_per_s: 9.9e11, quickest_us: 6e12, messages: u64::MAX / 2, ..Run::default() };
    let mut result = huge.result();
    find(&mut result, "all-acks", Class::Reordered, u64::MAX / 4, Verdict::NotJudged);
    draw("huge", &huge, &result);
    let tiny = Run { fastest_per_s: 1e-4, quickest_us: 0.0, messages: 0, ..Run::default() };
    draw("tiny", &tiny, &tiny.result());
    let zero = Run { fastest_per_s: 0.0, ..Run::default() };
    let mut result = zero.result();
    for comparison in &mut result.comparisons {
        comparison.ratio = f64::NAN;
    }
    result.summaries[0].delivered_per_s.as_mut().unwrap().median = f64::NAN;
    draw("zero", &zero, &result);
    let mut result = Run::default().result();
    for (at, comparison) in result.comparisons.iter_mut().enumerate() {
        comparison.ratio = 10_f64.powi(at as i32 * 3 - 5);
        comparison.low = Some(comparison.ratio / 1.1);
        comparison.high = Some(comparison.ratio * 1.1);
    }
    result.claims[0].text = "a claim that takes many words to say what could be said in few ".repeat(8);
    result.claims[0].reason = "because of <this> & \"that\" 漢字 ".repeat(30);
    draw("ratios", &Run::default(), &result);
}

#[test]
fn several_phases_of_a_kind_give_a_chart_each() {
    let run = Run::default();
    let mut result = run.result();
    let mut second = result.scenario.phases[0].clone();
    second.name = "../max".into();
    result.scenario.phases.push(second);
    for summary in result.summaries.clone().into_iter().filter(|summary| summary.phase == "max") {
        result.summaries.push(ackmark_schema::result::Summary { phase: "../max".into(), ..summary });
    }
    let charts = draw("phases", &run, &result);
    let names: Vec<_> = charts.rendered.iter().map(|chart| chart.name.as_str()).collect();
    assert!(names.contains(&"throughput-___max"), "{names:?}");
}

/// Through `result.json`, as `ackmark chart` reads it.
fn read_back(result: &RunResult) -> RunResult {
    let json = serde_json::to_string(result).unwrap();
    ackmark_schema::text::from_json("result.json", &json).unwrap()
}

#[test]
fn equal_results_give_equal_bytes() {
    let run = Run::default();
    let (a, b) = (draw("once", &run, &run.result()), draw("again", &run, &read_back(&run.result())));
    for (a, b) in a.files().zip(b.files()) {
        assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap(), "{}", a.display());
    }
}

#[test]
fn a_lost_or_damaged_timeline_is_left_out_and_named() {
    let run = Run::default();
    let result = run.result();
    let folder = folder("damaged");
    run.write_timelines(&result, &folder);
    fs::remove_dir_all(folder.join(&result.trials[0].folder)).unwrap();
    fs::write(folder.join(&result.trials[1].folder).join("timeline.json"), "{").unwrap();
    let charts = render(&result, &folder, &folder).unwrap();
    assert!(svg(&charts, "timeline").contains("2 trials without a timeline"));
    let charts = render(&result, Path::new("/nonexistent"), &folder).unwrap();
    assert!(why(&charts, "timeline").contains("no trial has a timeline"));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let run = Run::default();
    let file = folder("no-folder");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "").unwrap();
    let error = render(&run.result(), &file, &file).unwrap_err().to_string();
    assert!(error.contains("no-folder") && error.contains("written to"), "{error}");
    fs::remove_file(file).unwrap();
}
