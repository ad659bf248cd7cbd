// One eye of one panel picture: lens, head turn, filter, mura, quantisation, in that order, per pixel and per channel.
// Drawn over a mesh that leaves out what the lens cannot show. Vectors are red, green, blue.

// 0: no lens, 1: a polynomial, 2: rational, one over a polynomial and a constant beside it.
override LENS: u32 = 2u;
override MURA: bool = true;

struct Eye {
    // From the lens's result to texels of the eye buffer, homogeneous: lens centre, growth, and the head's turn since
    // the frame was rendered, all in one matrix. Its third column differs from channel to channel.
    column_x: vec4<f32>,
    column_y: vec4<f32>,
    column_p_x: vec4<f32>, // fourth: width of the eye buffer, texels
    column_p_y: vec4<f32>, // fourth: height of the eye buffer, texels
    column_p_z: vec4<f32>,
    center_x: vec4<f32>, // fourth: 1 / aspect
    center_y: vec4<f32>, // fourth: cutoff r2, of green
    k1: vec4<f32>,
    k2: vec4<f32>,
    k3: vec4<f32>,
    k4: vec4<f32>,
    mura: vec4<f32>, // in 8-bit codes for a texel of 1; fourth: offset, in texels of 1
    panel: vec4<f32>, // 1 / width, 1 / height, left, top of this eye, pixels
    code: vec4<f32>, // highest scanout code, black in 8-bit codes, dither amplitude in steps, dither phase
}

@group(0) @binding(0) var<uniform> eye: Eye;
@group(0) @binding(1) var picture: texture_2d<f32>;
@group(0) @binding(2) var clamped: sampler;
@group(0) @binding(3) var mura_map: texture_2d<f32>;

@vertex
fn cover(@location(0) panel_uv: vec2<f32>) -> @builtin(position) vec4<f32> {
    return vec4(panel_uv * 2.0 - 1.0, 0.0, 1.0);
}

// Where each channel of a pixel lies in the eye buffer, in texels, and whether it can be seen there at all.
struct Place {
    x: vec3<f32>,
    y: vec3<f32>,
    seen: vec3<bool>,
}

// A rational lens divides, and so does a turn of the head; carrying the divisor along makes it one division for both.
fn place(uv: vec2<f32>) -> Place {
    var x = vec3(2.0 * uv.x - 1.0) - eye.center_x.rgb;
    var y = vec3((2.0 * uv.y - 1.0) * eye.center_x.w) - eye.center_y.rgb;
    let r2 = x * x + y * y;
    let polynomial = 1.0 + r2 * (eye.k1.rgb + r2 * (eye.k2.rgb + r2 * eye.k3.rgb));
    var seen = vec3(r2.g <= eye.center_y.w);
    var factor = polynomial;
    var p = vec3(1.0);
    if LENS == 2u {
        factor = 1.0 + eye.k4.rgb * polynomial;
        p = polynomial;
        // Past the pole the formula turns the picture inside out.
        seen &= p > vec3(0.0);
    }
    x *= factor;
    y *= factor;
    let z = eye.column_x.z * x + eye.column_y.z * y + eye.column_p_z.rgb * p;
    let over_z = 1.0 / z;
    var place: Place;
    place.x = (eye.column_x.x * x + eye.column_y.x * y + eye.column_p_x.rgb * p) * over_z;
    place.y = (eye.column_x.y * x + eye.column_y.y * y + eye.column_p_y.rgb * p) * over_z;
    place.seen = seen & (z > vec3(0.0))
        & (place.x >= vec3(0.0)) & (place.x <= vec3(eye.column_p_x.w))
        & (place.y >= vec3(0.0)) & (place.y <= vec3(eye.column_p_y.w));
    return place;
}

// The same where no lens parts the channels; third: above 0 where it can be seen.
fn place_together(uv: vec2<f32>) -> vec3<f32> {
    let over_z = 1.0 / (eye.column_x.z * uv.x + eye.column_y.z * uv.y + eye.column_p_z.r);
    let x = (eye.column_x.x * uv.x + eye.column_y.x * uv.y + eye.column_p_x.r) * over_z;
    let y = (eye.column_x.y * uv.x + eye.column_y.y * uv.y + eye.column_p_y.r) * over_z;
    let inside = over_z > 0.0
        && x >= 0.0 && x <= eye.column_p_x.w && y >= 0.0 && y <= eye.column_p_y.w;
    return vec3(x, y, select(0.0, 1.0, inside));
}

// Bilinear, in squared codes: light is nearly the square of the code, squares are cheap, and their root gives an
// unfiltered code back exactly. Texels come in the order of OpImageGather: below left, below right, right, left.
fn filtered(texels: vec4<f32>, x: f32, y: f32) -> f32 {
    let light = texels * texels;
    let above = mix(light.w, light.z, x);
    let below = mix(light.x, light.y, x);
    return sqrt(mix(above, below, y));
}

// Codes of the eye buffer, 0 to 1, where all channels lie in the same place: four texels for all three.
fn look_up_together(x: f32, y: f32) -> vec3<f32> {
    let fine = round(vec2(x, y) * 256.0 - 128.0) * (1.0 / 256.0);
    let corner = floor(fine);
    let part = fine - corner;
    let last = vec2(eye.column_p_x.w, eye.column_p_y.w) - 1.0;
    let low = vec2<i32>(clamp(corner, vec2(0.0), last));
    let high = vec2<i32>(clamp(corner + 1.0, vec2(0.0), last));
    let above_left = textureLoad(picture, low, 0).rgb;
    let above_right = textureLoad(picture, vec2(high.x, low.y), 0).rgb;
    let below_left = textureLoad(picture, vec2(low.x, high.y), 0).rgb;
    let below_right = textureLoad(picture, high, 0).rgb;
    let above = mix(above_left * above_left, above_right * above_right, part.x);
    let below = mix(below_left * below_left, below_right * below_right, part.x);
    return sqrt(mix(above, below, part.y));
}

// Codes of the eye buffer, 0 to 1.
fn look_up(x: vec3<f32>, y: vec3<f32>) -> vec3<f32> {
    // To 1/256 of a texel, the precision of GPUs' own filters: a place on a texel's centre shows that texel alone.
    let fine_x = round(x * 256.0 - 128.0) * (1.0 / 256.0);
    let fine_y = round(y * 256.0 - 128.0) * (1.0 / 256.0);
    let left = floor(fine_x);
    let top = floor(fine_y);
    let across = fine_x - left;
    let down = fine_y - top;
    // The corner that the four texels share, so that rounding cannot pick others.
    let u = (left + 1.0) * (1.0 / eye.column_p_x.w);
    let v = (top + 1.0) * (1.0 / eye.column_p_y.w);
    return vec3(
        filtered(textureGather(0, picture, clamped, vec2(u.r, v.r)), across.r, down.r),
        filtered(textureGather(1, picture, clamped, vec2(u.g, v.g)), across.g, down.g),
        filtered(textureGather(2, picture, clamped, vec2(u.b, v.b)), across.b, down.b),
    );
}

// Steps apart in neighbouring pixels and channels (interleaved gradient noise, Jimenez 2014), between -1/2 and 1/2.
fn dither(pixel: vec2<f32>) -> vec3<f32> {
    let noise = 52.9829189 * fract(dot(pixel, vec2(0.06711056, 0.00583715))) + eye.code.w;
    return fract(vec3(noise) + vec3(0.0, 0.3333333, 0.6666667)) - 0.5;
}

@fragment
fn composite(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let pixel = position.xy - eye.panel.zw;
    var code: vec3<f32>;
    if LENS == 0u {
        let place = place_together(pixel * eye.panel.xy);
        code = select(vec3(0.0), 255.0 * look_up_together(place.x, place.y), place.z > 0.0);
    } else {
        let place = place(pixel * eye.panel.xy);
        code = select(vec3(0.0), 255.0 * look_up(place.x, place.y), place.seen);
    }
    if MURA {
        // Black stays one code all over the panel; from code 16 on the correction is whole.
        let black = vec3(eye.code.y);
        let weight = smoothstep(black, vec3(max(16.0, eye.code.y + 1.0)), code);
        let texel = textureLoad(mura_map, vec2<i32>(pixel), 0).r;
        code = max(code, black) + weight * (eye.mura.rgb * (texel + eye.mura.w));
    }
    // Ties go up: the corrections come in eighths of a code, and rounding errors must not decide.
    let top = eye.code.x;
    let step = floor(code * (top / 255.0) + (0.5 + 1.0 / 1024.0) + dither(position.xy) * eye.code.z);
    return vec4(clamp(step, vec3(0.0), vec3(top)) / top, 1.0);
}
