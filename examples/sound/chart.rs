//! Draws lines and points over two axes into a PNG.

#[path = "../pictures/canvas.rs"]
mod canvas;

use anyhow::Result;
use canvas::Canvas;
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::{FONT_7X13, FONT_9X18_BOLD};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{Drawable, Primitive, WebColors};
use embedded_graphics::primitives::{Circle, Line, PrimitiveStyle};
use embedded_graphics::text::Text;
use std::path::Path;

/// One picture: panels beside each other.
const PANEL: Size = Size::new(460, 400);
const LEFT: i32 = 52;
const TOP: i32 = 44;
const BOTTOM: i32 = 44;
const RIGHT: i32 = 14;

/// Colours of series, in order.
pub const COLORS: [Rgb888; 6] = [
    Rgb888::CSS_INDIAN_RED,
    Rgb888::CSS_STEEL_BLUE,
    Rgb888::CSS_SEA_GREEN,
    Rgb888::CSS_DARK_ORANGE,
    Rgb888::CSS_MEDIUM_PURPLE,
    Rgb888::CSS_GRAY,
];

/// Points under a name, joined by a line if there are several.
pub struct Series {
    pub name: String,
    pub color: Rgb888,
    pub points: Vec<(f64, f64)>,
}

/// One pair of axes.
pub struct Panel {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

/// A name, a range, and the distance of its ticks.
pub struct Axis {
    pub name: &'static str,
    pub from: f64,
    pub to: f64,
    pub step: f64,
}

/// Writes the panels, three in a row.
pub fn write(path: &Path, panels: &[Panel]) -> Result<()> {
    let columns = u32::try_from(panels.len().clamp(1, 3))?;
    let rows = u32::try_from(panels.len().div_ceil(3).max(1))?;
    let size = Size::new(PANEL.width * columns, PANEL.height * rows);
    let mut canvas = Canvas::new(size);
    for (at, panel) in panels.iter().enumerate() {
        let column = i32::try_from(at % 3)? * PANEL.width as i32;
        let row = i32::try_from(at / 3)? * PANEL.height as i32;
        draw(&mut canvas, panel, Point::new(column, row))?;
    }
    canvas.save(path)
}

/// Where a point of the axes lies in the picture.
fn place(panel: &Panel, origin: Point, (x, y): (f64, f64)) -> Point {
    let width = f64::from(PANEL.width as i32 - LEFT - RIGHT);
    let height = f64::from(PANEL.height as i32 - TOP - BOTTOM);
    let part = |axis: &Axis, value: f64| {
        (value.clamp(axis.from, axis.to) - axis.from) / (axis.to - axis.from)
    };
    let right = part(&panel.x, x) * width;
    let down = (1.0 - part(&panel.y, y)) * height;
    origin + Point::new(LEFT + right as i32, TOP + down as i32)
}

fn draw(canvas: &mut Canvas, panel: &Panel, origin: Point) -> Result<()> {
    let bold = MonoTextStyle::new(&FONT_9X18_BOLD, Rgb888::BLACK);
    Text::new(&panel.title, origin + Point::new(LEFT, 24), bold).draw(canvas)?;
    draw_axes(canvas, panel, origin)?;
    for (at, series) in panel.series.iter().enumerate() {
        let style = PrimitiveStyle::with_stroke(series.color, 2);
        let points: Vec<Point> = series.points.iter().map(|at| place(panel, origin, *at)).collect();
        for pair in points.windows(2) {
            Line::new(pair[0], pair[1]).into_styled(style).draw(canvas)?;
        }
        let dots = if points.len() > 40 { &[] } else { points.as_slice() };
        for point in dots {
            let dot = Circle::with_center(*point, 7);
            dot.into_styled(PrimitiveStyle::with_fill(series.color)).draw(canvas)?;
        }
        let text = MonoTextStyle::new(&FONT_7X13, series.color);
        let line =
            PANEL.height as i32 - BOTTOM - 8 - 14 * i32::try_from(panel.series.len() - 1 - at)?;
        Text::new(&series.name, origin + Point::new(LEFT + 8, line), text).draw(canvas)?;
    }
    Ok(())
}

fn draw_axes(canvas: &mut Canvas, panel: &Panel, origin: Point) -> Result<()> {
    let small = MonoTextStyle::new(&FONT_7X13, Rgb888::CSS_DIM_GRAY);
    let pale = PrimitiveStyle::with_stroke(Rgb888::CSS_GAINSBORO, 1);
    let mut line = |from: (f64, f64), to: (f64, f64), name: String, shift: Point| -> Result<()> {
        let (from, to) = (place(panel, origin, from), place(panel, origin, to));
        Line::new(from, to).into_styled(pale).draw(canvas)?;
        Text::new(&name, from + shift, small).draw(canvas)?;
        Ok(())
    };
    let ticks = |axis: &Axis| {
        let count = ((axis.to - axis.from) / axis.step + 0.5) as usize;
        let (from, step) = (axis.from, axis.step);
        (0..=count).map(move |n| from + n as f64 * step)
    };
    for x in ticks(&panel.x) {
        line((x, panel.y.from), (x, panel.y.to), format!("{x:.0}"), Point::new(-8, 16))?;
    }
    for y in ticks(&panel.y) {
        let name = if panel.y.step < 1.0 { format!("{y:.1}") } else { format!("{y:.0}") };
        line((panel.x.from, y), (panel.x.to, y), name, Point::new(-34, 4))?;
    }
    let below = origin + Point::new(LEFT, PANEL.height as i32 - 10);
    Text::new(&format!("{} over {}", panel.y.name, panel.x.name), below, small).draw(canvas)?;
    Ok(())
}
