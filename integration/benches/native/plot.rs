//! What was measured, as pictures.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::combinators::IntoLogRange;
use plotters::coord::ranged1d::{IntoSegmentedCoord, SegmentValue};
use plotters::prelude::{
    ChartBuilder, Circle, Color, DrawingArea, EmptyElement, IntoDrawingArea, LineSeries,
    PathElement, RGBColor, Rectangle, SVGBackend, SeriesLabelPosition, Text, WHITE,
};

use crate::report::Row;

type Outcome = Result<(), Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const FONT: &str = "sans-serif";
const LIMIT: RGBColor = RGBColor(120, 120, 120);

/// The color of a number of threads.
fn color(threads: usize) -> RGBColor {
    match threads {
        1 => RGBColor(31, 119, 180),
        _ => RGBColor(214, 39, 40),
    }
}

fn threads_of(rows: &[Row]) -> Vec<usize> {
    let mut threads: Vec<usize> = rows.iter().map(|row| row.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    threads
}

fn plural(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// A panel for each curve: milliseconds of ours and of the limit, both axes logarithmic.
pub fn scaling(path: &Path, machine: &str, rows: &[Row]) -> Outcome {
    let mut curves: Vec<&'static str> = Vec::new();
    for (curve, _) in rows.iter().filter_map(|row| row.point) {
        if !curves.contains(&curve) {
            curves.push(curve);
        }
    }
    let lines = curves.len().div_ceil(2).max(1);
    let root = SVGBackend::new(path, (1000, 40 + 340 * lines as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(&format!("milliseconds; {machine}"), (FONT, 16))?;
    for (panel, curve) in root.split_evenly((lines, 2)).iter().zip(curves) {
        let points = |row: &&Row| matches!(row.point, Some((name, x)) if name == curve && x > 0);
        let points: Vec<&Row> = rows.iter().filter(points).collect();
        draw_curve(panel, curve, &points, &threads_of(rows))?;
    }
    root.present()?;
    Ok(())
}

fn draw_curve(panel: &Area<'_>, curve: &str, points: &[&Row], threads: &[usize]) -> Outcome {
    let x = |row: &Row| row.point.map_or(1.0, |(_, x)| x as f64);
    let Some(xs) = decades(points.iter().map(|row| x(row))) else {
        return Ok(());
    };
    let Some(ys) = decades(points.iter().flat_map(|row| [row.ours, row.limit])) else {
        return Ok(());
    };
    let mut chart = ChartBuilder::on(panel)
        .caption(curve, (FONT, 16))
        .margin(10)
        .x_label_area_size(26)
        .y_label_area_size(52)
        .build_cartesian_2d(xs.log_scale(), ys.log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .label_style((FONT, 12))
        .x_label_formatter(&|v| short(*v))
        .y_label_formatter(&|v| short(*v))
        .draw()?;
    for &threads in threads {
        let of = |value: fn(&Row) -> f64| {
            let rows = points.iter().filter(move |row| row.threads == threads);
            rows.map(move |row| (x(row), value(row)))
        };
        let (ours, faint) = (color(threads), color(threads).mix(0.4));
        chart
            .draw_series(LineSeries::new(of(|row| row.ours), ours.stroke_width(2)))?
            .label(plural(threads))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], ours.stroke_width(2)));
        chart.draw_series(of(|row| row.ours).map(|at| Circle::new(at, 3, ours.filled())))?;
        chart
            .draw_series(LineSeries::new(of(|row| row.limit), faint.stroke_width(2)))?
            .label(format!("limit, {}", plural(threads)))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], faint.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .label_font((FONT, 12))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

/// The range that has all values, with some space around them, more of it below.
fn decades(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let positive = values.filter(|v| *v > 0.0);
    let (low, high) = positive.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), v| {
        (low.min(v), high.max(v))
    });
    (high > 0.0).then_some(low / 3.0..high * 1.5)
}

/// A number as short as it can be told.
fn short(v: f64) -> String {
    match v {
        1e4.. => format!("{v:.0e}"),
        0.01.. => ((v * 1e4).round() / 1e4).to_string(),
        _ => format!("{v:.0e}"),
    }
}

/// A bar for each class and number of threads: what part of the limit it reaches.
pub fn classes(path: &Path, machine: &str, rows: &[Row]) -> Outcome {
    /// Where the axis ends; what is too short to be measured by memory goes beyond.
    const END: f64 = 1.25;
    const HEIGHT: usize = 26;
    let mut classes: Vec<&str> = rows.iter().map(|row| row.class.as_str()).rev().collect();
    classes.dedup();
    let threads = threads_of(rows);
    let height = 110 + HEIGHT * classes.len();
    let root = SVGBackend::new(path, (1000, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let title = format!("speed as a part of what memory gives; {machine}");
    let root = root.titled(&title, (FONT, 16))?;
    // Where a class begins, and that before it ends.
    let last = classes.len().saturating_sub(1);
    let above = |at: usize| match at < last {
        true => SegmentValue::Exact(at + 1),
        false => SegmentValue::Last,
    };
    let mut chart = ChartBuilder::on(&root)
        .margin(10)
        .x_label_area_size(26)
        .y_label_area_size(330)
        .build_cartesian_2d(0.0..END, (0..last).into_segmented())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE)
        .label_style((FONT, 12))
        .y_labels(classes.len())
        .y_label_formatter(&|at| match at {
            SegmentValue::CenterOf(at) => classes.get(*at).copied().unwrap_or("").to_owned(),
            SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
        })
        .draw()?;
    let bar = (HEIGHT - 6) / threads.len().max(1);
    for (place, &threads) in threads.iter().enumerate() {
        let color = color(threads);
        let of = |row: &&Row| row.threads == threads;
        let values: Vec<(usize, f64)> = rows
            .iter()
            .filter(of)
            .filter_map(|row| {
                let at = classes.iter().position(|class| *class == row.class)?;
                Some((at, row.of_limit()))
            })
            .collect();
        let top = 3 + place * bar;
        let bottom = HEIGHT - top - bar;
        chart
            .draw_series(values.iter().map(|&(at, value)| {
                let ends = [(0.0, SegmentValue::Exact(at)), (value.min(END), above(at))];
                let mut bar = Rectangle::new(ends, color.filled());
                bar.set_margin(top as u32, bottom as u32, 0, 0);
                bar
            }))?
            .label(plural(threads))
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
        chart.draw_series(values.iter().map(|&(at, value)| {
            let middle = (top + bar / 2) as i32 - HEIGHT as i32 / 2 - 5;
            EmptyElement::at((value.min(END - 0.08), SegmentValue::CenterOf(at)))
                + Text::new(format!("{value:.2}"), (4, middle), (FONT, 11))
        }))?;
    }
    let ends = [SegmentValue::Exact(0), SegmentValue::Last];
    chart
        .draw_series(LineSeries::new(
            ends.map(|end| (1.0, end)),
            LIMIT.stroke_width(2),
        ))?
        .label("limit")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 12, y)], LIMIT.stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .label_font((FONT, 12))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    root.present()?;
    Ok(())
}
