//! The families of procedural categories. A family is one function: from a category's draws and a piece's draws to a
//! piece. The first stream is the same for all pieces of a category and says what they have in common; the second says
//! how this piece differs and lies.

mod cloth;
mod electrical;
mod electronics;
mod goods;
mod hardware;
mod mechanics;
mod mineral;
mod organic;
mod packaging;
mod panels;
mod patterns;
mod steel;
mod surfaces;
mod table;
mod textiles;

use super::{draw::Draw, product::Product};

/// A family of categories.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its categories are called `NAME_000`, `NAME_001`, ...
    pub name: &'static str,
    /// Makes a piece, given the category's draws, the piece's draws and the side in pixels.
    pub make: fn(&mut Draw, &mut Draw, usize) -> Product,
}

const fn family(name: &'static str, make: fn(&mut Draw, &mut Draw, usize) -> Product) -> Family {
    Family { name, make }
}

/// All families, in the order in which categories are made of them: textures and objects take turns, so that a few
/// categories are already varied. New families go to the end: the others then keep their places.
pub const FAMILIES: &[Family] = &[
    family("weave", textiles::weave),
    family("gear", mechanics::gear),
    family("leather", surfaces::leather),
    family("capsule", packaging::capsule),
    family("tiles", patterns::tiles),
    family("circuit", electronics::circuit),
    family("wood", surfaces::wood),
    family("bolt", mechanics::bolt),
    family("dots", patterns::dots),
    family("bottle_cap", mechanics::bottle_cap),
    family("mesh", patterns::mesh),
    family("chip", electronics::chip),
    family("brushed_metal", surfaces::brushed_metal),
    family("blister", packaging::blister),
    family("twill", textiles::twill),
    family("bearing", mechanics::bearing),
    family("granite", surfaces::granite),
    family("label", packaging::label),
    family("knit", textiles::knit),
    family("perforated", patterns::perforated),
    family("concrete", mineral::concrete),
    family("casting", steel::casting),
    family("rolled_steel", steel::rolled_steel),
    family("hazelnut", organic::hazelnut),
    family("magnetic_tile", steel::magnetic_tile),
    family("screw", hardware::screw),
    family("asphalt", mineral::asphalt),
    family("cable", electrical::cable),
    family("solar_cell", electrical::solar_cell),
    family("lobed_nut", hardware::lobed_nut),
    family("weld", steel::weld),
    family("transistor", electrical::transistor),
    family("linen", cloth::linen),
    family("pill", goods::pill),
    family("marble", mineral::marble),
    family("spring", hardware::spring),
    family("turned_face", steel::turned_face),
    family("bottle", goods::bottle),
    family("carpet", cloth::carpet),
    family("zipper", cloth::zipper),
    family("grating", panels::grating),
    family("biscuit", organic::biscuit),
    family("tracks", electrical::tracks),
    family("washers", hardware::washers),
    family("plaster", mineral::plaster),
    family("pellets", goods::pellets),
    family("brick", panels::brick),
    family("led", electrical::led),
    family("wire_cloth", panels::wire_cloth),
    family("brush", goods::brush),
    family("foam", cloth::foam),
    family("coin", hardware::coin),
    family("cork", organic::cork),
    family("cashew", organic::cashew),
    family("paper", panels::paper),
    family("rope", cloth::rope),
    family("tread_plate", panels::tread_plate),
    family("ceramic", mineral::ceramic),
    family("peel", organic::peel),
    family("corrugated", panels::corrugated),
];
