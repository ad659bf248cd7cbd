// One eye of one panel picture: lens, head turn, transfer function, mura, quantisation, in that order, per pixel and
// per channel. Drawn over a mesh that leaves out what the lens cannot show.

// 0: none, 1: polynomial, 2: rational (one over the polynomial, plus k4).
override LENS: u32 = 2u;
override MURA: bool = true;
override SAMPLING: u32 = 0u;

struct Eye {
    // Panel (after the lens) to eye buffer, homogeneous, in texels: the head's turn since the frame was rendered.
    to_texel: mat3x3<f32>,
    // Lens, red green blue; the fourth of each named beside it.
    center_x: vec4<f32>, // 1 / aspect
    center_y: vec4<f32>, // cutoff r2, of green
    k1: vec4<f32>, // 0.5 / (1 + grow)
    k2: vec4<f32>, // 0.5 / (1 + grow) * aspect
    k3: vec4<f32>, // width of the eye buffer, texels
    k4: vec4<f32>, // height of the eye buffer, texels
    // Mura weights; the fourth: the offset in texel values (0 to 1).
    mura: vec4<f32>,
    // 1 / panel width, 1 / panel height of this eye, and its left and top edge in the picture, in pixels.
    panel: vec4<f32>,
    // Highest code of the scanout format, black clamp in 8-bit codes, dither amplitude in steps, dither phase.
    code: vec4<f32>,
}

@group(0) @binding(0) var<uniform> eye: Eye;
@group(0) @binding(1) var picture: texture_2d<f32>;
@group(0) @binding(2) var nearest: sampler;
@group(0) @binding(3) var mura_map: texture_2d<f32>;

@vertex
fn cover(@location(0) panel_uv: vec2<f32>) -> @builtin(position) vec4<f32> {
    return vec4(panel_uv * 2.0 - 1.0, 0.0, 1.0);
}

// Where each channel of this pixel lies in the eye buffer, and whether it is to be seen there at all.
struct Source {
    u: vec3<f32>,
    v: vec3<f32>,
    seen: vec3<bool>,
}

fn through_lens(uv: vec2<f32>) -> Source {
    var source: Source;
    if LENS == 0u {
        source.u = vec3(uv.x);
        source.v = vec3(uv.y);
        source.seen = vec3(true);
        return source;
    }
    let x = vec3(2.0 * uv.x - 1.0) - eye.center_x.rgb;
    let y = vec3((2.0 * uv.y - 1.0) * eye.center_x.w) - eye.center_y.rgb;
    let r2 = x * x + y * y;
    let polynomial = 1.0 + r2 * (eye.k1.rgb + r2 * (eye.k2.rgb + r2 * eye.k3.rgb));
    var d = polynomial;
    if LENS == 2u {
        d = 1.0 / polynomial + eye.k4.rgb;
    }
    source.u = 0.5 + (x * d + eye.center_x.rgb) * eye.k1.w;
    source.v = 0.5 + (y * d + eye.center_y.rgb) * eye.k2.w;
    source.seen = (polynomial > vec3(0.0)) & vec3(r2.g <= eye.center_y.w);
    return source;
}

fn decode(code: vec4<f32>) -> vec4<f32> {
    let high = pow((code + 0.055) / 1.055, vec4(2.4));
    return select(high, code / 12.92, code <= vec4(0.04045));
}

fn encode(light: vec3<f32>) -> vec3<f32> {
    let high = 1.055 * pow(light, vec3(1.0 / 2.4)) - 0.055;
    return select(high, light * 12.92, light <= vec3(0.0031308));
}

fn mix4(texels: vec4<f32>, weight: vec2<f32>) -> f32 {
    let low = mix(texels.w, texels.z, weight.x);
    let high = mix(texels.x, texels.y, weight.x);
    return mix(low, high, weight.y);
}

@fragment
fn composite(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let pixel = position.xy - eye.panel.zw;
    let source = through_lens(pixel * eye.panel.xy);
    let px = eye.to_texel[0].x * source.u + eye.to_texel[1].x * source.v + eye.to_texel[2].x;
    let py = eye.to_texel[0].y * source.u + eye.to_texel[1].y * source.v + eye.to_texel[2].y;
    let pz = eye.to_texel[0].z * source.u + eye.to_texel[1].z * source.v + eye.to_texel[2].z;
    let x = px / pz;
    let y = py / pz;
    let width = eye.k3.w;
    let height = eye.k4.w;
    let seen = source.seen & (pz > vec3(0.0)) & (x >= vec3(0.0)) & (x <= vec3(width))
        & (y >= vec3(0.0)) & (y <= vec3(height));
    var light: vec3<f32>;
    if SAMPLING == 0u {
        let size = vec2(1.0 / width, 1.0 / height);
        light.r = textureSampleLevel(picture, nearest, vec2(x.r, y.r) * size, 0.0).r;
        light.g = textureSampleLevel(picture, nearest, vec2(x.g, y.g) * size, 0.0).g;
        light.b = textureSampleLevel(picture, nearest, vec2(x.b, y.b) * size, 0.0).b;
    } else {
        let size = vec2(1.0 / width, 1.0 / height);
        let tx = floor((x - 0.5) * 256.0 + 0.5) / 256.0;
        let ty = floor((y - 0.5) * 256.0 + 0.5) / 256.0;
        let bx = floor(tx);
        let by = floor(ty);
        let wx = tx - bx;
        let wy = ty - by;
        var r = textureGather(0, picture, nearest, vec2(bx.r + 1.0, by.r + 1.0) * size);
        var g = textureGather(1, picture, nearest, vec2(bx.g + 1.0, by.g + 1.0) * size);
        var b = textureGather(2, picture, nearest, vec2(bx.b + 1.0, by.b + 1.0) * size);
        if SAMPLING == 1u {
            r = decode(r);
            g = decode(g);
            b = decode(b);
        }
        light = vec3(mix4(r, vec2(wx.r, wy.r)), mix4(g, vec2(wx.g, wy.g)), mix4(b, vec2(wx.b, wy.b)));
    }
    var code = 255.0 * encode(light);
    code = floor(code * 64.0 + 0.5) / 64.0;
    code = select(vec3(0.0), code, seen);
    if MURA {
        let clamp_code = eye.code.y;
        let texel = textureLoad(mura_map, vec2<i32>(pixel), 0).r;
        let weight = smoothstep(vec3(clamp_code), vec3(16.0), code);
        code = max(code, vec3(clamp_code)) + weight * eye.mura.rgb * (texel + eye.mura.w);
    }
    let noise = fract(52.9829189 * fract(dot(position.xy, vec2(0.06711056, 0.00583715)))) + eye.code.w;
    let dither = (fract(noise + vec3(0.0, 0.3333333, 0.6666667)) - 0.5) * eye.code.z;
    let top = eye.code.x;
    let step = floor(code * (top / 255.0) + (0.5 + 1.0 / 1024.0) + dither);
    return vec4(clamp(step, vec3(0.0), vec3(top)) / top, 1.0);
}
