//! What every HTML page of ours is made of: names as text, pictures inside the page. What a page says and how it looks is its
//! writer's business; nothing here touches a file.

mod base64;

use image::{ExtendedColorType, ImageEncoder, ImageError, RgbImage, codecs::jpeg::JpegEncoder};

/// A text as HTML has it, in elements and in quoted attributes.
pub fn text(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    for character in raw.chars() {
        match character {
            '&' => text += "&amp;",
            '<' => text += "&lt;",
            '>' => text += "&gt;",
            '"' => text += "&quot;",
            character => text.push(character),
        }
    }
    text
}

/// A picture as the address of an `img`: a JPEG file of that quality (of 100), written out in it.
///
/// # Errors
/// A picture without pixels, or with a side above 65,535, which JPEG can't hold.
pub fn data_uri(picture: &RgbImage, quality: u8) -> Result<String, ImageError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).write_image(
        picture,
        picture.width(),
        picture.height(),
        ExtendedColorType::Rgb8,
    )?;
    Ok(format!("data:image/jpeg;base64,{}", base64::encode(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_text_is_text() {
        assert_eq!(text("<a href=\"x\">&amp;</a>"), "&lt;a href=&quot;x&quot;&gt;&amp;amp;&lt;/a&gt;");
    }

    #[test]
    fn a_picture_without_pixels_is_an_error() {
        assert!(data_uri(&RgbImage::new(0, 0), 80).is_err());
    }
}
