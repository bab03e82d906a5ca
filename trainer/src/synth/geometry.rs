//! Points, poses and distances to shapes. Lengths are shares of the image's side, x to the right and y down. Circular
//! functions are libm's, whose results are the same on every platform.

use std::{
    f32::consts::{PI, TAU},
    ops::{Add, Mul, Sub},
};

use super::draw::Draw;

/// A place on the image, or a step from one place to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f32,
    /// Downwards.
    pub y: f32,
}

/// Shorthand for [`Point`].
pub fn at(x: f32, y: f32) -> Point {
    Point { x, y }
}

impl Add for Point {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        at(self.x + other.x, self.y + other.y)
    }
}

impl Sub for Point {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        at(self.x - other.x, self.y - other.y)
    }
}

impl Mul<f32> for Point {
    type Output = Self;
    fn mul(self, factor: f32) -> Self {
        at(self.x * factor, self.y * factor)
    }
}

impl Point {
    /// A step of length 1.
    pub fn towards(angle: f32) -> Self {
        at(libm::cosf(angle), libm::sinf(angle))
    }

    /// Distance from the origin.
    pub fn length(self) -> f32 {
        (self.x * self.x + self.y * self.y).sqrt()
    }

    /// Direction from the origin, -pi to pi.
    pub fn angle(self) -> f32 {
        libm::atan2f(self.y, self.x)
    }

    /// The scalar product.
    pub fn dot(self, other: Self) -> f32 {
        self.x * other.x + self.y * other.y
    }

    /// Turned about the origin by the direction `towards`.
    pub fn turned(self, towards: Self) -> Self {
        at(self.x * towards.x - self.y * towards.y, self.x * towards.y + self.y * towards.x)
    }
}

/// How a piece lies before the camera.
#[derive(Clone, Copy, Debug)]
pub struct Pose {
    centre: Point,
    turn: Point,
    scale: f32,
}

impl Pose {
    /// A cut from an endless sheet: any place on it, turned by up to `turn` radians.
    pub fn of_sheet(piece: &mut Draw, turn: f32) -> Self {
        let centre = at(piece.within(-50.0, 50.0), piece.within(-50.0, 50.0));
        Self { centre, turn: Point::towards(piece.within(-turn, turn)), scale: piece.within(0.98, 1.02) }
    }

    /// An object near the middle, turned by up to `turn` radians.
    pub fn of_object(piece: &mut Draw, turn: f32) -> Self {
        let centre = at(piece.within(0.48, 0.52), piece.within(0.48, 0.52));
        Self { centre, turn: Point::towards(piece.within(-turn, turn)), scale: piece.within(0.97, 1.03) }
    }

    /// An object put down by hand: farther from the middle, turned by up to `turn` radians.
    pub fn of_loose_object(piece: &mut Draw, turn: f32) -> Self {
        let centre = at(piece.within(0.46, 0.54), piece.within(0.46, 0.54));
        Self { centre, turn: Point::towards(piece.within(-turn, turn)), scale: piece.within(0.94, 1.06) }
    }

    /// The direction on the piece of a direction on the image.
    pub fn direction_on_piece(&self, direction: Point) -> Point {
        direction.turned(at(self.turn.x, -self.turn.y))
    }

    /// Where a place on the image lies on the piece.
    pub fn on_piece(&self, place: Point) -> Point {
        (place - self.centre).turned(at(self.turn.x, -self.turn.y)) * (1.0 / self.scale)
    }
}

/// Number of the cell of width 1 that a coordinate falls into, and where in it, from its middle: -0.5 to 0.5.
pub fn cell(coordinate: f32) -> (i32, f32) {
    let number = coordinate.floor();
    (number as i32, coordinate - number - 0.5)
}

/// Distance to the edge of a box about the origin; negative inside.
pub fn to_box(place: Point, half: Point) -> f32 {
    let beyond = at(place.x.abs() - half.x, place.y.abs() - half.y);
    at(beyond.x.max(0.0), beyond.y.max(0.0)).length() + beyond.x.max(beyond.y).min(0.0)
}

/// Distance to the line between two places.
pub fn to_segment(place: Point, from: Point, to: Point) -> f32 {
    let (along, step) = (place - from, to - from);
    let share = (along.dot(step) / step.dot(step).max(1e-12)).clamp(0.0, 1.0);
    (along - step * share).length()
}

/// Distance to the edge of a regular polygon about the origin, measured along its normals; negative inside.
pub fn to_polygon(place: Point, corners: u32, inradius: f32) -> f32 {
    let sector = TAU / corners as f32;
    let angle = place.angle();
    let from_normal = angle - (angle / sector).round() * sector;
    place.length() * libm::cosf(from_normal) - inradius
}

/// 0 below `low`, 1 above `high`, smooth between.
pub fn smooth(low: f32, high: f32, value: f32) -> f32 {
    let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
    share * share * (3.0 - 2.0 * share)
}

/// One hump a unit: 1 at whole numbers, 0 half-way.
pub fn hump(coordinate: f32) -> f32 {
    0.5 + 0.5 * libm::cosf(TAU * coordinate)
}

/// A half-round profile: 1 in the middle, 0 at -0.5 and 0.5 and beyond.
pub fn crown(coordinate: f32) -> f32 {
    libm::cosf(PI * coordinate.clamp(-0.5, 0.5))
}
