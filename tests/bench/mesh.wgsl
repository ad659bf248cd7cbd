// The common way to undo a lens: three places in the eye buffer at each corner of a mesh, straight lines between them.
// Light is decoded by the sampler and encoded by the target.

@group(0) @binding(1) var picture: texture_2d<f32>;
@group(0) @binding(2) var clamped: sampler;

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) red: vec2<f32>,
    @location(1) green: vec2<f32>,
    @location(2) blue: vec2<f32>,
}

@vertex
fn corner(
    @location(0) panel: vec2<f32>,
    @location(1) red: vec2<f32>,
    @location(2) green: vec2<f32>,
    @location(3) blue: vec2<f32>,
) -> Corner {
    return Corner(vec4(panel * 2.0 - 1.0, 0.0, 1.0), red, green, blue);
}

@fragment
fn look_up(corner: Corner) -> @location(0) vec4<f32> {
    return vec4(
        textureSample(picture, clamped, corner.red).r,
        textureSample(picture, clamped, corner.green).g,
        textureSample(picture, clamped, corner.blue).b,
        1.0,
    );
}
