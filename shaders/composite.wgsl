// One eye of one panel picture: lens, head turn, filter, layers, mura, quantisation, in that order, per pixel and per
// channel. Drawn over a mesh that leaves out what the lens cannot show. Vectors are red, green, blue.

// 0: no lens, 1: a polynomial, 2: rational, one over a polynomial and a constant beside it.
override LENS: u32 = 2u;
override MURA: bool = true;
// How many layers can lie over the picture.
override LAYERS: u32 = 0u;

// From the lens's result to the place on a picture, homogeneous: lens centre, growth, and where the head looks, all in
// one matrix. Its third column differs from channel to channel.
struct Projection {
    column_x: vec4<f32>,
    column_y: vec4<f32>,
    column_p_x: vec4<f32>, // fourth, of the eye buffer: its width, texels
    column_p_y: vec4<f32>, // fourth, of the eye buffer: its height, texels
    column_p_z: vec4<f32>, // fourth, of a layer: its opacity
}

struct Eye {
    picture: Projection, // to texels of the eye buffer
    center_x: vec4<f32>, // fourth: 1 / aspect
    center_y: vec4<f32>, // fourth: cutoff r2, of green
    k1: vec4<f32>,
    k2: vec4<f32>,
    k3: vec4<f32>,
    k4: vec4<f32>,
    mura: vec4<f32>, // in 8-bit codes for a texel of 1; fourth: offset, in texels of 1
    panel: vec4<f32>, // 1 / width, 1 / height, left, top of this eye, pixels
    code: vec4<f32>, // highest scanout code, black in 8-bit codes, dither amplitude in steps, dither phase
    // 8-bit codes for an eye buffer's 1; its light's scale, the square of that; the first column that mura corrects.
    light: vec4<f32>,
    layers: array<Projection, 4>, // to 0 to 1 across each
}

@group(0) @binding(0) var<uniform> eye: Eye;
@group(0) @binding(1) var picture: texture_2d<f32>;
@group(0) @binding(2) var clamped: sampler;
@group(0) @binding(3) var mura_map: texture_2d<f32>;
@group(0) @binding(4) var layer_0: texture_2d<f32>;
@group(0) @binding(5) var layer_1: texture_2d<f32>;
@group(0) @binding(6) var layer_2: texture_2d<f32>;
@group(0) @binding(7) var layer_3: texture_2d<f32>;
@group(0) @binding(8) var bordered: sampler;

@vertex
fn cover(@location(0) panel_uv: vec2<f32>) -> @builtin(position) vec4<f32> {
    return vec4(panel_uv * 2.0 - 1.0, 0.0, 1.0);
}

// What the lens makes of a pixel, homogeneous and for each channel, and whether it shows the pixel at all.
struct Ray {
    x: vec3<f32>,
    y: vec3<f32>,
    p: vec3<f32>,
    shown: vec3<bool>,
}

// A rational lens divides, and so does a turn of the head; carrying the divisor along makes it one division for both.
fn look_through(uv: vec2<f32>) -> Ray {
    var ray: Ray;
    ray.x = vec3(2.0 * uv.x - 1.0) - eye.center_x.rgb;
    ray.y = vec3((2.0 * uv.y - 1.0) * eye.center_x.w) - eye.center_y.rgb;
    let r2 = ray.x * ray.x + ray.y * ray.y;
    let polynomial = 1.0 + r2 * (eye.k1.rgb + r2 * (eye.k2.rgb + r2 * eye.k3.rgb));
    var factor = polynomial;
    ray.p = vec3(1.0);
    // Past its zero the formula turns the picture inside out; of a rational one that is the pole.
    ray.shown = vec3(r2.g <= eye.center_y.w) & (polynomial > vec3(0.0));
    if LENS == 2u {
        factor = 1.0 + eye.k4.rgb * polynomial;
        ray.p = polynomial;
    }
    ray.x *= factor;
    ray.y *= factor;
    return ray;
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
        p_x = p_x.rrr;
        p_y = p_y.rrr;
        p_z = p_z.rrr;
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
fn inside(place: Place) -> vec3<bool> {
    return place.before
        & (place.x >= vec3(0.0)) & (place.x <= vec3(eye.picture.column_p_x.w))
        & (place.y >= vec3(0.0)) & (place.y <= vec3(eye.picture.column_p_y.w));
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
fn look_up(x: vec3<f32>, y: vec3<f32>) -> vec3<f32> {
    // To 1/256 of a texel, the precision of GPUs' own filters: a place on a texel's centre shows that texel alone.
    let fine_x = round(x * 256.0 - 128.0) * (1.0 / 256.0);
    let fine_y = round(y * 256.0 - 128.0) * (1.0 / 256.0);
    let left = floor(fine_x);
    let top = floor(fine_y);
    let across = fine_x - left;
    let down = fine_y - top;
    // The corner that the four texels share, so that rounding cannot pick others.
    let u = (left + 1.0) * (1.0 / eye.picture.column_p_x.w);
    let v = (top + 1.0) * (1.0 / eye.picture.column_p_y.w);
    return vec3(
        filtered(textureGather(0, picture, clamped, vec2(u.r, v.r)), across.r, down.r),
        filtered(textureGather(1, picture, clamped, vec2(u.g, v.g)), across.g, down.g),
        filtered(textureGather(2, picture, clamped, vec2(u.b, v.b)), across.b, down.b),
    );
}

// The same where no lens parts the channels, and all lie in the same place: four texels for all three.
fn look_up_together(x: f32, y: f32) -> vec3<f32> {
    let fine = round(vec2(x, y) * 256.0 - 128.0) * (1.0 / 256.0);
    let corner = floor(fine);
    let part = fine - corner;
    let last = vec2(eye.picture.column_p_x.w, eye.picture.column_p_y.w) - 1.0;
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

// Squared codes of what the eye is to see, the picture's light scaled.
fn light_of(ray: Ray) -> vec3<f32> {
    let place = project(eye.picture, ray);
    var light: vec3<f32>;
    if LENS == 0u {
        light = look_up_together(place.x.g, place.y.g);
    } else {
        light = look_up(place.x, place.y);
    }
    light = select(vec3(0.0), light, inside(place));
    if LAYERS > 0u {
        light *= eye.light.y;
        light = lay_over(light, eye.layers[0], layer_0, ray);
    }
    if LAYERS > 1u {
        light = lay_over(light, eye.layers[1], layer_1, ray);
    }
    if LAYERS > 2u {
        light = lay_over(light, eye.layers[2], layer_2, ray);
    }
    if LAYERS > 3u {
        light = lay_over(light, eye.layers[3], layer_3, ray);
    }
    return light;
}

// Steps apart in neighbouring pixels and channels (interleaved gradient noise, Jimenez 2014), between -1/2 and 1/2.
fn dither(pixel: vec2<f32>) -> vec3<f32> {
    let noise = 52.9829189 * fract(dot(pixel, vec2(0.06711056, 0.00583715))) + eye.code.w;
    return fract(vec3(noise) + vec3(0.0, 0.3333333, 0.6666667)) - 0.5;
}

@fragment
fn composite(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let pixel = position.xy - eye.panel.zw;
    let uv = pixel * eye.panel.xy;
    var ray: Ray;
    if LENS == 0u {
        ray = Ray(vec3(uv.x), vec3(uv.y), vec3(1.0), vec3(true));
    } else {
        ray = look_through(uv);
    }
    var whole = eye.light.x;
    if LAYERS > 0u {
        whole = 255.0;
    }
    var code = select(vec3(0.0), whole * sqrt(light_of(ray)), ray.shown);
    if MURA {
        // Black stays one code all over the panel; from code 16 on the correction is whole.
        let black = vec3(eye.code.y);
        var weight = smoothstep(black, vec3(max(16.0, eye.code.y + 1.0)), code);
        weight = select(vec3(0.0), weight, pixel.x >= eye.light.z);
        let texel = textureLoad(mura_map, vec2<i32>(pixel), 0).r;
        code = max(code, black) + weight * (eye.mura.rgb * (texel + eye.mura.w));
    }
    // Ties go up: the corrections come in eighths of a code, and rounding errors must not decide.
    let top = eye.code.x;
    let step = floor(code * (top / 255.0) + (0.5 + 1.0 / 1024.0) + dither(position.xy) * eye.code.z);
    return vec4(clamp(step, vec3(0.0), vec3(top)) / top, 1.0);
}
