//! Draws waveforms over time into a PNG.

#[path = "../pictures/canvas.rs"]
mod canvas;

use canvas::Canvas;
use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::{FONT_8X13, FONT_9X18_BOLD};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{Drawable, PointsIter, Primitive, WebColors};
use embedded_graphics::primitives::{Line, PrimitiveStyle, Rectangle};
use embedded_graphics::text::Text;
use std::path::Path;

const WIDTH: u32 = 1400;
const LANE: u32 = 150;
const TOP: u32 = 40;
const LEFT: i32 = 10;

/// One waveform: samples at a rate, under a title.
pub struct Lane<'a> {
    pub title: String,
    pub samples: &'a [i16],
    pub rate: u32,
    pub color: Rgb888,
    /// Bars below the waveform.
    pub spans: Vec<Span>,
}

/// A stretch of time with a name.
pub struct Span {
    pub from: f64,
    pub to: f64,
    pub color: Rgb888,
    pub label: String,
}

/// A colour for what the callee heard, and one for what the client received.
pub const HEARD: Rgb888 = Rgb888::CSS_STEEL_BLUE;
pub const RECEIVED: Rgb888 = Rgb888::CSS_INDIAN_RED;

/// Writes all lanes below each other on one time axis.
pub fn write(path: &Path, title: &str, lanes: &[Lane<'_>]) -> anyhow::Result<()> {
    let height = TOP + LANE * u32::try_from(lanes.len())? + 30;
    let size = Size::new(WIDTH, height);
    let mut canvas = Canvas::new(size);
    let longest = lanes.iter().map(|lane| lane.samples.len() as f64 / f64::from(lane.rate));
    let seconds = longest.fold(1.0, f64::max);
    let bold = MonoTextStyle::new(&FONT_9X18_BOLD, Rgb888::BLACK);
    Text::new(title, Point::new(LEFT, 24), bold).draw(&mut canvas)?;
    for (index, lane) in lanes.iter().enumerate() {
        draw_lane(&mut canvas, lane, i32::try_from(index)?, seconds)?;
    }
    draw_axis(&mut canvas, seconds, i32::try_from(height)? - 10)?;
    canvas.save(path)
}

fn x_of(second: f64, seconds: f64) -> i32 {
    LEFT + (second / seconds * f64::from(WIDTH - 20)) as i32
}

fn draw_lane(canvas: &mut Canvas, lane: &Lane<'_>, index: i32, seconds: f64) -> anyhow::Result<()> {
    let top = TOP as i32 + index * LANE as i32;
    let middle = top + LANE as i32 / 2 + 8;
    let small = MonoTextStyle::new(&FONT_8X13, Rgb888::CSS_DIM_GRAY);
    Text::new(&lane.title, Point::new(LEFT, top + 14), small).draw(canvas)?;
    let pale = PrimitiveStyle::with_stroke(Rgb888::CSS_LIGHT_GRAY, 1);
    let ends = (Point::new(LEFT, middle), Point::new(WIDTH as i32 - 10, middle));
    Line::new(ends.0, ends.1).into_styled(pale).draw(canvas)?;
    let style = PrimitiveStyle::with_stroke(lane.color, 1);
    let scale = f64::from(LANE - 30) / 2.0 / 32768.0;
    let column = seconds / f64::from(WIDTH - 20);
    for x in 0..WIDTH as i32 - 20 {
        let from = (f64::from(x) * column * f64::from(lane.rate)) as usize;
        let to = (f64::from(x + 1) * column * f64::from(lane.rate)) as usize;
        let Some(part) = lane.samples.get(from..to.min(lane.samples.len())) else { break };
        let (Some(low), Some(high)) = (part.iter().min(), part.iter().max()) else { continue };
        let y = |sample: i16| middle - (f64::from(sample) * scale) as i32;
        let (from, to) = (Point::new(LEFT + x, y(*low)), Point::new(LEFT + x, y(*high)));
        Line::new(from, to).into_styled(style).draw(canvas)?;
    }
    draw_spans(canvas, &lane.spans, top + LANE as i32 - 10, seconds)
}

fn draw_spans(canvas: &mut Canvas, spans: &[Span], top: i32, seconds: f64) -> anyhow::Result<()> {
    let small = MonoTextStyle::new(&FONT_8X13, Rgb888::CSS_DIM_GRAY);
    for span in spans {
        let (from, to) =
            (x_of(span.from, seconds), x_of(span.to, seconds).max(x_of(span.from, seconds) + 3));
        let style = PrimitiveStyle::with_fill(span.color);
        let size = Size::new(u32::try_from(to - from)?, 8);
        Rectangle::new(Point::new(from, top), size).into_styled(style).draw(canvas)?;
        Text::new(&span.label, Point::new(from, top - 4), small).draw(canvas)?;
    }
    Ok(())
}

fn draw_axis(canvas: &mut Canvas, seconds: f64, bottom: i32) -> anyhow::Result<()> {
    let small = MonoTextStyle::new(&FONT_8X13, Rgb888::CSS_DIM_GRAY);
    let step = if seconds > 20.0 { 5 } else { 1 };
    for second in (0..=seconds as i32).step_by(step) {
        let x = x_of(f64::from(second), seconds);
        let line = Line::new(Point::new(x, TOP as i32), Point::new(x, bottom - 14));
        // Only on the white background: the waves stand in front of the grid.
        for point in line.points() {
            let at = ((point.y as u32 * WIDTH + point.x as u32) * 3) as usize;
            if canvas.pixels.get(at..at + 3) == Some(&[255, 255, 255]) {
                canvas.draw_iter([Pixel(point, Rgb888::CSS_WHITE_SMOKE)])?;
            }
        }
        Text::new(&format!("{second}s"), Point::new(x, bottom), small).draw(canvas)?;
    }
    Ok(())
}
