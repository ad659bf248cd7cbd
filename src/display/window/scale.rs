//! Fits a picture into a window.

/// Draws `picture` as large as it fits into `window`, in its middle and with its proportions, on black. Sizes are width and
/// height in pixels.
#[cfg_attr(not(feature = "window"), allow(dead_code, reason = "only windows need it"))]
pub fn fit(picture: &[u32], picture_px: [u32; 2], window: &mut [u32], window_px: [u32; 2]) {
    let [wide, high] = picture_px.map(u64::from);
    let [room_x, room_y] = window_px.map(u64::from);
    if wide == 0 || high == 0 || room_x == 0 || room_y == 0 {
        return;
    }
    let [shown_x, shown_y] = match room_x * high <= room_y * wide {
        true => [room_x, (room_x * high / wide).max(1)],
        false => [(room_y * wide / high).max(1), room_y],
    };
    let [left, top] = [(room_x - shown_x) / 2, (room_y - shown_y) / 2];
    for (y, row) in (0..).zip(window.chunks_exact_mut(room_x as usize)) {
        let Some(y) = inside(y, top, shown_y) else {
            row.fill(0);
            continue;
        };
        let from = &picture[(y * high / shown_y * wide) as usize..][..wide as usize];
        for (x, pixel) in (0..).zip(row) {
            *pixel = inside(x, left, shown_x).map_or(0, |x| from[(x * wide / shown_x) as usize]);
        }
    }
}

fn inside(place: u64, from: u64, length: u64) -> Option<u64> {
    place.checked_sub(from).filter(|&place| place < length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_picture_lies_in_the_middle_with_its_proportions() {
        let picture = [1, 2, 3, 4];
        let mut window = [9; 6 * 4];
        fit(&picture, [2, 2], &mut window, [6, 4]);
        let expected = [[0, 1, 1, 2, 2, 0], [0, 1, 1, 2, 2, 0], [0, 3, 3, 4, 4, 0], [0, 3, 3, 4, 4, 0]];
        assert_eq!(window, expected.concat()[..]);
        let mut window = [9; 2 * 3];
        fit(&[5], [1, 1], &mut window, [2, 3]);
        assert_eq!(window, [5, 5, 5, 5, 0, 0]);
    }

    proptest! {
        #[test]
        fn every_size_fits_into_every_other(picture in (0u32..50, 0u32..50), window in (0u32..50, 0u32..50)) {
            let pixels = vec![7; (picture.0 * picture.1) as usize];
            let mut shown = vec![9; (window.0 * window.1) as usize];
            fit(&pixels, picture.into(), &mut shown, window.into());
            let any = picture.0 * picture.1 > 0 && !shown.is_empty();
            prop_assert_eq!(shown.contains(&7), any);
            prop_assert!(!any || !shown.contains(&9), "all of the window is drawn on");
        }
    }
}
