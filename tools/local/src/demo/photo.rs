//! Photos of meters: small PNG files that show a reading. The image data is stored without
//! compression, so that no library is necessary.

/// Width of a photo in pixels.
const WIDTH: usize = 160;
/// Height of a photo in pixels.
const HEIGHT: usize = 120;
/// Bytes of a row: a byte for its filter, then an index into the palette for each pixel.
const ROW_BYTES: usize = 1 + WIDTH;

/// Largest number of digits that the window of the meter has room for.
const DIGITS_MAX: usize = 8;
/// Width and height of a pixel of a digit, in pixels of the photo.
const DOT: usize = 3;

/// Colors of the wall behind a meter, one of which a photo has.
const WALLS: [[u8; 3]; 4] = [
    [0xb8, 0xae, 0x9c],
    [0x9f, 0xb3, 0xbd],
    [0xc4, 0xb7, 0xb0],
    [0x93, 0xa2, 0x8c],
];
/// Colors of the case, the window and the digits, after the wall in the palette.
const COLORS: [[u8; 3]; 3] = [[0x3a, 0x4a, 0x5c], [0xf4, 0xf1, 0xe4], [0x16, 0x16, 0x16]];
const CASE: u8 = 1;
const WINDOW: u8 = 2;
const DIGIT: u8 = 3;

/// The digits from 0 to 9, each with five rows of three dots. Each octal digit is a row, and its
/// highest bit the dot on the left.
const FONT: [u16; 10] = [
    0o75557, 0o26227, 0o71747, 0o71717, 0o55711, 0o74717, 0o74757, 0o71222, 0o75757, 0o75717,
];

/// Returns a PNG file that shows a meter with this reading, of which the first eight digits are
/// visible. The same reading has the same photo.
pub fn photo(reading: &str) -> Vec<u8> {
    let digits: Vec<u32> = reading
        .chars()
        .filter_map(|letter| letter.to_digit(10))
        .take(DIGITS_MAX)
        .collect();
    let wall = digits.iter().sum::<u32>() as usize % WALLS.len();
    let palette = [WALLS[wall], COLORS[0], COLORS[1], COLORS[2]].concat();

    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = [WIDTH as u32, HEIGHT as u32].map(u32::to_be_bytes).concat();
    header.extend([8, 3, 0, 0, 0]); // eight bits per pixel, with a palette, not interlaced
    append_chunk(&mut file, *b"IHDR", &header);
    append_chunk(&mut file, *b"PLTE", &palette);
    append_chunk(&mut file, *b"IDAT", &zlib(&image(&digits)));
    append_chunk(&mut file, *b"IEND", &[]);
    file
}

/// Returns the rows of the image. The filter 0 and the wall are both 0.
fn image(digits: &[u32]) -> Vec<u8> {
    let mut rows = vec![0; ROW_BYTES * HEIGHT];
    fill(&mut rows, (20, 15), (120, 90), CASE);
    fill(&mut rows, (28, 40), (104, 30), WINDOW);

    for (position, digit) in digits.iter().enumerate() {
        let dots = FONT[*digit as usize % FONT.len()];
        for dot in (0..15).filter(|dot| (dots >> (14 - dot)) & 1 == 1) {
            let left = 32 + position * 4 * DOT + dot % 3 * DOT;
            let top = 47 + dot / 3 * DOT;
            fill(&mut rows, (left, top), (DOT, DOT), DIGIT);
        }
    }
    rows
}

/// Paints a rectangle, which is inside the photo.
fn fill(rows: &mut [u8], (left, top): (usize, usize), (width, height): (usize, usize), color: u8) {
    for row in rows.chunks_mut(ROW_BYTES).skip(top).take(height) {
        row[1 + left..][..width].fill(color);
    }
}

/// Returns a zlib stream with one stored block. `data` has less than 64 KiB.
fn zlib(data: &[u8]) -> Vec<u8> {
    let length = data.len() as u16;
    let mut stream = vec![0x78, 0x01, 1]; // the header of the stream, and of its last block
    stream.extend(length.to_le_bytes());
    stream.extend((!length).to_le_bytes());
    stream.extend(data);
    stream.extend(adler32(data).to_be_bytes());
    stream
}

fn append_chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    let checked = [kind.as_slice(), data].concat();
    file.extend((data.len() as u32).to_be_bytes());
    file.extend(&checked);
    file.extend(crc32(&checked).to_be_bytes());
}

fn adler32(data: &[u8]) -> u32 {
    let (low, high) = data.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    (high << 16) | low
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_match_published_values() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn chunks_and_image_have_declared_sizes() {
        let file = photo("2037.07");
        let mut rest = file.strip_prefix(b"\x89PNG\r\n\x1a\n").unwrap();
        let mut kinds = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let (checked, after) = after.split_at(4 + length);
            let (crc, after) = after.split_first_chunk::<4>().unwrap();
            assert_eq!(u32::from_be_bytes(*crc), crc32(checked));
            kinds.push(checked[..4].to_vec());
            rest = after;
        }

        assert_eq!(kinds, [b"IHDR", b"PLTE", b"IDAT", b"IEND"]);
        // A stored block of zlib has 11 bytes around its data.
        let image_chunk = 11 + ROW_BYTES * HEIGHT;
        assert_eq!(file.len(), 8 + 4 * 12 + 13 + 4 * 3 + image_chunk);
    }

    #[test]
    fn photos_differ_by_reading() {
        assert_eq!(photo("2037.07"), photo("2037.07"));
        assert_ne!(photo("2037.07"), photo("2037.08"));
        assert_eq!(photo("123456789"), photo("12345678"));
    }
}
