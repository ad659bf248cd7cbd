// One eye of one panel picture: lens, head turn, filter, layers, mura, quantisation, in that order, per pixel and per
// channel. Drawn over a mesh that leaves out what the lens cannot show. Vectors are red, green, blue.

// 0: no lens, 1: a polynomial, 2: rational, one over a polynomial and a constant beside it, 3: a polynomial of
// high order in the radius, not round.
override LENS: u32 = 2u;
override MURA: bool = true;
// How many layers can lie over the picture.
override LAYERS: u32 = 0u;

// What a headset and its mode fix for good, numbered as in `constants.rs`. `build.rs` makes specialisation constants of
// them: a compiler that knows the numbers leaves out what they make superfluous.
@id(0) override center_x_r: f32;
@id(1) override center_x_g: f32;
@id(2) override center_x_b: f32;
@id(3) override center_y_r: f32;
@id(4) override center_y_g: f32;
@id(5) override center_y_b: f32;
@id(6) override y_over_x: f32;
@id(7) override cutoff_r2: f32; // of green
@id(8) override pixel_width: f32; // of an eye's
@id(9) override pixel_height: f32;
@id(10) override mura_r: f32; // 8-bit codes for a texel of 1
@id(11) override mura_g: f32;
@id(12) override mura_b: f32;
@id(13) override mura_offset: f32; // texels of 1
@id(14) override black: f32; // 8-bit codes
@id(15) override full: f32; // from this 8-bit code on mura correction is whole
@id(16) override steps: f32; // of the scanout for an 8-bit code
@id(17) override step_size: f32;
@id(18) override dither_steps: f32;
@id(19) override k1_r: f32;
@id(20) override k1_g: f32;
@id(21) override k1_b: f32;
@id(22) override k2_r: f32;
@id(23) override k2_g: f32;
@id(24) override k2_b: f32;
@id(25) override k3_r: f32;
@id(26) override k3_g: f32;
@id(27) override k3_b: f32;
@id(28) override k4_r: f32;
@id(29) override k4_g: f32;
@id(30) override k4_b: f32;
// Of a lens of high order.
@id(31) override unit: f32; // of its formula, for half a panel's width
@id(32) override t_per_unit: f32;
@id(33) override radial_0_r: f32;
@id(34) override radial_0_g: f32;
@id(35) override radial_0_b: f32;
@id(36) override radial_1_r: f32;
@id(37) override radial_1_g: f32;
@id(38) override radial_1_b: f32;
@id(39) override radial_2_r: f32;
@id(40) override radial_2_g: f32;
@id(41) override radial_2_b: f32;
@id(42) override radial_3_r: f32;
@id(43) override radial_3_g: f32;
@id(44) override radial_3_b: f32;
@id(45) override radial_4_r: f32;
@id(46) override radial_4_g: f32;
@id(47) override radial_4_b: f32;
@id(48) override radial_5_r: f32;
@id(49) override radial_5_g: f32;
@id(50) override radial_5_b: f32;
@id(51) override radial_6_r: f32;
@id(52) override radial_6_g: f32;
@id(53) override radial_6_b: f32;
@id(54) override radial_7_r: f32;
@id(55) override radial_7_g: f32;
@id(56) override radial_7_b: f32;
@id(57) override radial_8_r: f32;
@id(58) override radial_8_g: f32;
@id(59) override radial_8_b: f32;
@id(60) override radial_9_r: f32;
@id(61) override radial_9_g: f32;
@id(62) override radial_9_b: f32;
@id(63) override radial_10_r: f32;
@id(64) override radial_10_g: f32;
@id(65) override radial_10_b: f32;
@id(66) override radial_11_r: f32;
@id(67) override radial_11_g: f32;
@id(68) override radial_11_b: f32;
@id(69) override radial_12_r: f32;
@id(70) override radial_12_g: f32;
@id(71) override radial_12_b: f32;
@id(72) override tangential_0_r: f32;
@id(73) override tangential_0_g: f32;
@id(74) override tangential_0_b: f32;
@id(75) override tangential_1_r: f32;
@id(76) override tangential_1_g: f32;
@id(77) override tangential_1_b: f32;
@id(78) override tangential_2_r: f32;
@id(79) override tangential_2_g: f32;
@id(80) override tangential_2_b: f32;
@id(81) override tangential_3_r: f32;
@id(82) override tangential_3_g: f32;
@id(83) override tangential_3_b: f32;
@id(84) override tangential_4_r: f32;
@id(85) override tangential_4_g: f32;
@id(86) override tangential_4_b: f32;
@id(87) override tangential_5_r: f32;
@id(88) override tangential_5_g: f32;
@id(89) override tangential_5_b: f32;
@id(90) override prism_0_r: f32;
@id(91) override prism_0_g: f32;
@id(92) override prism_0_b: f32;
@id(93) override prism_1_r: f32;
@id(94) override prism_1_g: f32;
@id(95) override prism_1_b: f32;
@id(96) override prism_2_r: f32;
@id(97) override prism_2_g: f32;
@id(98) override prism_2_b: f32;
@id(99) override prism_3_r: f32;
@id(100) override prism_3_g: f32;
@id(101) override prism_3_b: f32;
@id(102) override rolling: f32; // 1 where lines light up one after the other, else 0
@id(103) override rise: f32; // of overdrive, for a code that a pixel has to rise; 0 without
@id(104) override fall: f32;
@id(105) override dimming: f32; // what a code is worth in codes of the panel when its mura was measured

// From the lens's result to the place on a picture, homogeneous: lens centre, growth, and where the head looks, all in
// one matrix. Its third column differs from channel to channel.
struct Projection {
    column_x: vec4<f32>,
    column_y: vec4<f32>,
    column_p_x: vec4<f32>,
    column_p_y: vec4<f32>,
    column_p_z: vec4<f32>, // fourth, of a layer: its opacity
}

// One that goes on while the panel's lines light up one after the other, from -1, the first, to 1, the last: a parabola.
struct Motion {
    middle: Projection,
    slope: Projection,
    curve: Projection,
}

// What is new in each frame. The vertex shader hands it on: once a triangle instead of once a pixel.
struct Frame {
    picture: Motion, // to texels of the eye buffer
    size: vec4<f32>, // of the eye buffer in texels, and what one texel is of it
    // 8-bit codes for an eye buffer's 1; its light's scale, the square of that; the first column that mura corrects;
    // the dither's phase.
    light: vec4<f32>,
    corner: vec4<f32>, // left and top of this eye, pixels
    layers: array<Motion, 4>, // to 0 to 1 across each
}

@group(0) @binding(0) var<uniform> frame: Frame;
@group(0) @binding(1) var picture: texture_2d<f32>;
@group(0) @binding(2) var clamped: sampler;
@group(0) @binding(3) var mura_map: texture_2d<f32>;
@group(0) @binding(4) var layer_0: texture_2d<f32>;
@group(0) @binding(5) var layer_1: texture_2d<f32>;
@group(0) @binding(6) var layer_2: texture_2d<f32>;
@group(0) @binding(7) var layer_3: texture_2d<f32>;
@group(0) @binding(8) var bordered: sampler;
@group(0) @binding(9) var previous: texture_2d<f32>; // the panel picture before this one

struct Latched {
    @builtin(position) position: vec4<f32>,
    @location(0) @interpolate(flat) column_x: vec4<f32>,
    @location(1) @interpolate(flat) column_y: vec4<f32>,
    @location(2) @interpolate(flat) column_p_x: vec4<f32>,
    @location(3) @interpolate(flat) column_p_y: vec4<f32>,
    @location(4) @interpolate(flat) column_p_z: vec4<f32>,
    @location(5) @interpolate(flat) size: vec4<f32>,
    @location(6) @interpolate(flat) light: vec4<f32>,
    @location(7) @interpolate(flat) corner: vec4<f32>,
}

@vertex
fn cover(@location(0) panel_uv: vec2<f32>) -> Latched {
    let onto = frame.picture.middle;
    return Latched(
        vec4(panel_uv * 2.0 - 1.0, 0.0, 1.0),
        onto.column_x, onto.column_y, onto.column_p_x, onto.column_p_y, onto.column_p_z,
        frame.size, frame.light, frame.corner,
    );
}

// What the lens makes of a pixel, homogeneous and for each channel, and whether it shows the pixel at all.
struct Ray {
    x: vec3<f32>,
    y: vec3<f32>,
    p: vec3<f32>,
    shown: vec3<bool>,
}

fn look_through(uv: vec2<f32>) -> Ray {
    var ray: Ray;
    ray.x = vec3(2.0 * uv.x - 1.0) - vec3(center_x_r, center_x_g, center_x_b);
    ray.y = vec3((2.0 * uv.y - 1.0) * y_over_x) - vec3(center_y_r, center_y_g, center_y_b);
    ray.p = vec3(1.0);
    let r2 = ray.x * ray.x + ray.y * ray.y;
    ray.shown = vec3(r2.g <= cutoff_r2);
    if LENS == 3u {
        return bend(ray);
    }
    let polynomial = 1.0 + r2 * (vec3(k1_r, k1_g, k1_b) + r2 * (vec3(k2_r, k2_g, k2_b) + r2 * vec3(k3_r, k3_g, k3_b)));
    var factor = polynomial;
    if LENS == 2u {
        // A rational lens divides, and so does a turn of the head; carrying the divisor along makes it one division for
        // both.
        factor = 1.0 + vec3(k4_r, k4_g, k4_b) * polynomial;
        ray.p = polynomial;
    }
    // Past its zero the formula turns the picture inside out; of a rational one that is the pole.
    ray.shown &= polynomial > vec3(0.0);
    ray.x *= factor;
    ray.y *= factor;
    return ray;
}

// The formula of high order: a polynomial in the radius, and terms that lean sideways. Its coefficients in the
// radius cancel each other by the thousand; about the middle of the lens's radius, where t is 0, they are small.
fn bend(straight: Ray) -> Ray {
    let x = straight.x * unit;
    let y = straight.y * unit;
    let r2 = x * x + y * y;
    let r4 = r2 * r2;
    let t = sqrt(r2) * t_per_unit - 1.0;
    var radial = vec3(radial_12_r, radial_12_g, radial_12_b);
    radial = radial * t + vec3(radial_11_r, radial_11_g, radial_11_b);
    radial = radial * t + vec3(radial_10_r, radial_10_g, radial_10_b);
    radial = radial * t + vec3(radial_9_r, radial_9_g, radial_9_b);
    radial = radial * t + vec3(radial_8_r, radial_8_g, radial_8_b);
    radial = radial * t + vec3(radial_7_r, radial_7_g, radial_7_b);
    radial = radial * t + vec3(radial_6_r, radial_6_g, radial_6_b);
    radial = radial * t + vec3(radial_5_r, radial_5_g, radial_5_b);
    radial = radial * t + vec3(radial_4_r, radial_4_g, radial_4_b);
    radial = radial * t + vec3(radial_3_r, radial_3_g, radial_3_b);
    radial = radial * t + vec3(radial_2_r, radial_2_g, radial_2_b);
    radial = radial * t + vec3(radial_1_r, radial_1_g, radial_1_b);
    radial = radial * t + vec3(radial_0_r, radial_0_g, radial_0_b);
    let across = vec3(tangential_0_r, tangential_0_g, tangential_0_b) + r2 * vec3(tangential_1_r, tangential_1_g, tangential_1_b) + r4 * vec3(tangential_2_r, tangential_2_g, tangential_2_b);
    let down = vec3(tangential_3_r, tangential_3_g, tangential_3_b) + r2 * vec3(tangential_4_r, tangential_4_g, tangential_4_b) + r4 * vec3(tangential_5_r, tangential_5_g, tangential_5_b);
    let twice_xy = 2.0 * x * y;
    var ray = straight;
    ray.x = x * radial + (r2 + 2.0 * x * x) * across + twice_xy * down
        + r2 * vec3(prism_0_r, prism_0_g, prism_0_b) + r4 * vec3(prism_1_r, prism_1_g, prism_1_b);
    ray.y = y * radial + twice_xy * across + (r2 + 2.0 * y * y) * down
        + r2 * vec3(prism_2_r, prism_2_g, prism_2_b) + r4 * vec3(prism_3_r, prism_3_g, prism_3_b);
    return ray;
}

fn at_line(middle: Projection, slope: Projection, curve: Projection, line: f32) -> Projection {
    // A variable, or naga would decide before the constant is known.
    var rolls = rolling;
    if rolls == 0.0 {
        return middle;
    }
    return Projection(
        middle.column_x + line * (slope.column_x + line * curve.column_x),
        middle.column_y + line * (slope.column_y + line * curve.column_y),
        middle.column_p_x + line * (slope.column_p_x + line * curve.column_p_x),
        middle.column_p_y + line * (slope.column_p_y + line * curve.column_p_y),
        middle.column_p_z + line * (slope.column_p_z + line * curve.column_p_z),
    );
}

fn layer_at_line(layer: Motion, line: f32) -> Projection {
    return at_line(layer.middle, layer.slope, layer.curve, line);
}

// Where each channel of a pixel lies on a picture, and whether that is before the eye.
struct Place {
    x: vec3<f32>,
    y: vec3<f32>,
    before: vec3<bool>,
}

fn project(onto: Projection, ray: Ray) -> Place {
    var p_x = onto.column_p_x.rgb;
    var p_y = onto.column_p_y.rgb;
    var p_z = onto.column_p_z.rgb;
    if LENS == 0u {
        // No lens parts the channels: the compiler sees that one place will do for all three.
        p_x = p_x.ggg;
        p_y = p_y.ggg;
        p_z = p_z.ggg;
    }
    let z = onto.column_x.z * ray.x + onto.column_y.z * ray.y + p_z * ray.p;
    let over_z = 1.0 / z;
    var place: Place;
    place.x = (onto.column_x.x * ray.x + onto.column_y.x * ray.y + p_x * ray.p) * over_z;
    place.y = (onto.column_x.y * ray.x + onto.column_y.y * ray.y + p_y * ray.p) * over_z;
    place.before = z > vec3(0.0);
    return place;
}

// Whether the eye buffer has something to show there.
fn inside(place: Place, size: vec4<f32>) -> vec3<bool> {
    return place.before
        & (place.x >= vec3(0.0)) & (place.x <= vec3(size.x))
        & (place.y >= vec3(0.0)) & (place.y <= vec3(size.y));
}

// Bilinear, in squared codes: light is nearly the square of the code, squares are cheap, and their root gives an
// unfiltered code back exactly. Texels come in the order of OpImageGather: below left, below right, right, left.
fn filtered(texels: vec4<f32>, x: f32, y: f32) -> f32 {
    let light = texels * texels;
    let above = mix(light.w, light.z, x);
    let below = mix(light.x, light.y, x);
    return mix(above, below, y);
}

// Squared codes of the eye buffer, 0 to 1.
fn look_up(x: vec3<f32>, y: vec3<f32>, size: vec4<f32>) -> vec3<f32> {
    // To 1/256 of a texel, the precision of GPUs' own filters: a place on a texel's centre shows that texel alone.
    let fine_x = round(x * 256.0 - 128.0) * (1.0 / 256.0);
    let fine_y = round(y * 256.0 - 128.0) * (1.0 / 256.0);
    let left = floor(fine_x);
    let above = floor(fine_y);
    let across = fine_x - left;
    let down = fine_y - above;
    // The corner that the four texels share, so that rounding cannot pick others.
    let u = (left + 1.0) * size.z;
    let v = (above + 1.0) * size.w;
    return vec3(
        filtered(textureGather(0, picture, clamped, vec2(u.r, v.r)), across.r, down.r),
        filtered(textureGather(1, picture, clamped, vec2(u.g, v.g)), across.g, down.g),
        filtered(textureGather(2, picture, clamped, vec2(u.b, v.b)), across.b, down.b),
    );
}

// The same where no lens parts the channels, and all lie in the same place: four texels for all three.
fn look_up_together(x: f32, y: f32, size: vec4<f32>) -> vec3<f32> {
    let fine = round(vec2(x, y) * 256.0 - 128.0) * (1.0 / 256.0);
    let corner = floor(fine);
    let part = fine - corner;
    let last = size.xy - 1.0;
    let low = vec2<i32>(clamp(corner, vec2(0.0), last));
    let high = vec2<i32>(clamp(corner + 1.0, vec2(0.0), last));
    let above_left = textureLoad(picture, low, 0).rgb;
    let above_right = textureLoad(picture, vec2(high.x, low.y), 0).rgb;
    let below_left = textureLoad(picture, vec2(low.x, high.y), 0).rgb;
    let below_right = textureLoad(picture, high, 0).rgb;
    let above = mix(above_left * above_left, above_right * above_right, part.x);
    let below = mix(below_left * below_left, below_right * below_right, part.x);
    return mix(above, below, part.y);
}

// Lays a layer over light. Its texels are codes times cover, so its light is their square over their cover.
fn lay_over(light: vec3<f32>, layer: Projection, image: texture_2d<f32>, ray: Ray) -> vec3<f32> {
    let place = project(layer, ray);
    let red = textureSampleLevel(image, bordered, vec2(place.x.r, place.y.r), 0.0);
    let green = textureSampleLevel(image, bordered, vec2(place.x.g, place.y.g), 0.0);
    let blue = textureSampleLevel(image, bordered, vec2(place.x.b, place.y.b), 0.0);
    let code = vec3(red.r, green.g, blue.b);
    let cover = vec3(red.a, green.a, blue.a);
    let own = code * code / max(cover, vec3(1.0 / 1024.0));
    let opacity = select(vec3(0.0), vec3(layer.column_p_z.w), place.before);
    return light + opacity * (own - cover * light);
}

// Squared codes of what the eye is to see, the picture's light scaled where layers lie over it.
fn light_of(ray: Ray, line: f32, latched: Latched) -> vec3<f32> {
    let middle = Projection(
        latched.column_x, latched.column_y, latched.column_p_x, latched.column_p_y, latched.column_p_z,
    );
    let onto = at_line(middle, frame.picture.slope, frame.picture.curve, line);
    let place = project(onto, ray);
    var light: vec3<f32>;
    if LENS == 0u {
        light = look_up_together(place.x.g, place.y.g, latched.size);
    } else {
        light = look_up(place.x, place.y, latched.size);
    }
    light = select(vec3(0.0), light, inside(place, latched.size));
    if LAYERS > 0u {
        light *= latched.light.y;
        light = lay_over(light, layer_at_line(frame.layers[0], line), layer_0, ray);
    }
    if LAYERS > 1u {
        light = lay_over(light, layer_at_line(frame.layers[1], line), layer_1, ray);
    }
    if LAYERS > 2u {
        light = lay_over(light, layer_at_line(frame.layers[2], line), layer_2, ray);
    }
    if LAYERS > 3u {
        light = lay_over(light, layer_at_line(frame.layers[3], line), layer_3, ray);
    }
    return light;
}

// Pixels that are slow to change are driven beyond where they are to be. What changes by a code or less is left alone, or
// dither would be driven too.
fn overdriven(code: vec3<f32>, pixel: vec2<f32>) -> vec3<f32> {
    // A variable, or naga would decide before the constant is known.
    var up = rise;
    if up == 0.0 {
        return code;
    }
    let change = code - 255.0 * textureLoad(previous, vec2<i32>(pixel), 0).rgb;
    let driven = code + up * max(change - 1.0, vec3(0.0)) + fall * min(change + 1.0, vec3(0.0));
    // What falls to black stays there.
    return max(driven, min(code, vec3(black)));
}

// Steps apart in neighbouring pixels and channels (interleaved gradient noise, Jimenez 2014), between -1/2 and 1/2.
fn dither(pixel: vec2<f32>, phase: f32) -> vec3<f32> {
    let noise = 52.9829189 * fract(dot(pixel, vec2(0.06711056, 0.00583715))) + phase;
    return fract(vec3(noise) + vec3(0.0, 0.3333333, 0.6666667)) - 0.5;
}

@fragment
fn composite(latched: Latched) -> @location(0) vec4<f32> {
    let pixel = latched.position.xy - latched.corner.xy;
    let uv = pixel * vec2(pixel_width, pixel_height);
    var ray: Ray;
    if LENS == 0u {
        ray = Ray(vec3(uv.x), vec3(uv.y), vec3(1.0), vec3(true));
    } else {
        ray = look_through(uv);
    }
    var whole = latched.light.x;
    if LAYERS > 0u {
        whole = 255.0;
    }
    var code = select(vec3(0.0), whole * sqrt(light_of(ray, 2.0 * uv.y - 1.0, latched)), ray.shown);
    if MURA {
        // Black stays one code all over the panel.
        let weight = smoothstep(vec3(black), vec3(full), code * dimming);
        let texel = textureLoad(mura_map, vec2<i32>(pixel), 0).r;
        let offset = select(0.0, texel + mura_offset, pixel.x >= latched.light.z);
        code = max(code, vec3(black)) + weight * (vec3(mura_r, mura_g, mura_b) * offset);
    }
    code = overdriven(code, latched.position.xy);
    // Ties go up: the corrections come in eighths of a code, and rounding errors must not decide.
    let noise = dither(latched.position.xy, latched.light.w) * dither_steps;
    let step = floor(code * steps + (0.5 + 1.0 / 1024.0) + noise);
    // What lies beyond the lowest and the highest step, the target cuts off.
    return vec4(step * step_size, 1.0);
}
