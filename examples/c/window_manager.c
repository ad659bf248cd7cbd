/* The least a window manager written in C does to lease headsets out: lights its own monitor, in one colour, and polls
 * the library's fd beside its own. Prints its monitor's objects, what happens, and at last what the vblank clock made of
 * its monitor, as JSON.
 *
 *     cc -o window_manager window_manager.c $(pkg-config --cflags --libs leasehold libdrm)
 *     ./window_manager /dev/dri/card0 wayland-0
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <leasehold.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

struct monitor {
    uint32_t connector, crtc, plane;
    drmModeModeInfo mode;
};

static void fail(const char *what, const char *why) {
    fprintf(stderr, "window_manager: %s: %s\n", what, why);
    exit(1);
}

/* A picture of one colour, of the mode's size. */
static uint32_t picture(int card, const drmModeModeInfo *mode) {
    uint32_t handle, pitch, framebuffer;
    uint64_t size, offset;
    if (drmModeCreateDumbBuffer(card, mode->hdisplay, mode->vdisplay, 32, 0, &handle, &pitch, &size) != 0 ||
        drmModeMapDumbBuffer(card, handle, &offset) != 0)
        fail("no memory for a picture", "the card makes no dumb buffer");
    void *pixels = mmap(NULL, size, PROT_WRITE, MAP_SHARED, card, (off_t)offset);
    if (pixels == MAP_FAILED || drmModeAddFB(card, mode->hdisplay, mode->vdisplay, 24, 32, pitch, handle, &framebuffer) != 0)
        fail("no picture", "the card does not take the buffer");
    memset(pixels, 0x40, size);
    munmap(pixels, size);
    return framebuffer;
}

/* Whether a headset says of itself that it is no place for windows. */
static bool is_headset(int card, const drmModeConnector *connector) {
    bool found = false;
    for (int i = 0; i < connector->count_props; i++) {
        drmModePropertyRes *property = drmModeGetProperty(card, connector->props[i]);
        if (property && strcmp(property->name, "non-desktop") == 0)
            found = connector->prop_values[i] == 1;
        drmModeFreeProperty(property);
    }
    return found;
}

static uint32_t plane_on(int card, uint32_t crtc) {
    uint32_t found = 0;
    drmModePlaneRes *planes = drmModeGetPlaneResources(card);
    for (uint32_t i = 0; planes && i < planes->count_planes; i++) {
        drmModePlane *plane = drmModeGetPlane(card, planes->planes[i]);
        if (plane && plane->crtc_id == crtc)
            found = plane->plane_id;
        drmModeFreePlane(plane);
    }
    drmModeFreePlaneResources(planes);
    return found;
}

static struct monitor light(int card) {
    struct monitor monitor = {0};
    drmModeRes *resources = drmModeGetResources(card);
    if (!resources)
        fail("no modes", "the card drives no displays");
    for (int i = 0; i < resources->count_connectors && !monitor.connector; i++) {
        drmModeConnector *connector = drmModeGetConnector(card, resources->connectors[i]);
        drmModeEncoder *encoder = NULL;
        if (connector && connector->connection == DRM_MODE_CONNECTED && connector->count_modes > 0 &&
            !is_headset(card, connector))
            encoder = drmModeGetEncoder(card, connector->encoders[0]);
        for (int c = 0; encoder && c < resources->count_crtcs && !monitor.crtc; c++)
            if (encoder->possible_crtcs & 1u << c)
                monitor.crtc = resources->crtcs[c];
        if (monitor.crtc) {
            monitor.connector = connector->connector_id;
            monitor.mode = connector->modes[0];
        }
        drmModeFreeEncoder(encoder);
        drmModeFreeConnector(connector);
    }
    drmModeFreeResources(resources);
    if (!monitor.connector)
        fail("no monitor", "plug one in");
    if (drmModeSetCrtc(card, monitor.crtc, picture(card, &monitor.mode), 0, 0, &monitor.connector, 1, &monitor.mode) != 0)
        fail("the monitor stays dark", "another program may be the card's master");
    monitor.plane = plane_on(card, monitor.crtc);
    return monitor;
}

static void say(const leasehold_event *event) {
    static const char *const names[] = {"ready", "offered", "denied", "granted", "ended", "withdrawn", "paused", "resumed"};
    printf("{\"event\": \"%s\", \"connector\": \"%s\", \"reason\": \"%s\", \"lessee\": %" PRIu32 ", \"pid\": %" PRIu32
           ", \"revoked_ns\": %" PRId64 ", \"blanked_ns\": %" PRId64 "}\n",
           names[event->happening], event->connector, event->reason, event->lessee, event->pid, event->revoked_ns,
           event->blanked_ns);
}

/* Watches some of the monitor's vblanks, and tells how far off the clock then is with the next. */
static void tell_the_time(int card, const struct monitor *monitor) {
    const drmModeModeInfo *mode = &monitor->mode;
    leasehold_clock *clock = leasehold_clock_open((int64_t)mode->htotal * mode->vtotal * 1000000 / mode->clock);
    leasehold_vblank vblank = {0};
    leasehold_prediction soon = {0};
    for (int seen = 0; seen < 32; seen++) {
        if (!leasehold_vblank_read(card, monitor->crtc, &vblank))
            fail("no vblank", leasehold_error());
        leasehold_clock_observe(clock, vblank.sequence, vblank.time_ns);
        drmVBlank next = {.request = {.type = DRM_VBLANK_RELATIVE, .sequence = 1}};
        drmWaitVBlank(card, &next); /* of the first CRTC, which is the monitor's */
    }
    if (!leasehold_clock_ahead(clock, 2, &soon))
        fail("no prediction", "the clock saw nothing");
    do {
        drmVBlank next = {.request = {.type = DRM_VBLANK_RELATIVE, .sequence = 1}};
        drmWaitVBlank(card, &next);
        if (!leasehold_vblank_read(card, monitor->crtc, &vblank))
            fail("no vblank", leasehold_error());
    } while (vblank.sequence < soon.sequence);
    printf("{\"period_ns\": %.0f, \"ahead\": %" PRIu64 ", \"predicted_ns\": %" PRId64 ", \"came_ns\": %" PRId64
           ", \"later\": %" PRIu64 "}\n",
           leasehold_clock_period_ns(clock), soon.sequence, soon.time_ns, vblank.time_ns,
           vblank.sequence - soon.sequence);
    leasehold_clock_close(clock);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: window_manager CARD SOCKET\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int card = open(arguments[1], O_RDWR | O_CLOEXEC);
    if (card < 0)
        fail(arguments[1], "it cannot be opened");
    drmSetClientCap(card, DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1);
    struct monitor monitor = light(card);
    printf("{\"connector\": %" PRIu32 ", \"crtc\": %" PRIu32 ", \"plane\": %" PRIu32 "}\n", monitor.connector,
           monitor.crtc, monitor.plane);

    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    const uint32_t kept[] = {monitor.connector, monitor.crtc, monitor.plane};
    leasehold_lessor *lessor = leasehold_lessor_open(card, arguments[2], kept, 3, NULL);
    if (!lessor)
        fail("no leases", leasehold_error());
    /* A real one's display and windows are here too. */
    struct pollfd fds[] = {{.fd = leasehold_lessor_fd(lessor), .events = POLLIN},
                           {.fd = signalfd(-1, &ends, SFD_CLOEXEC), .events = POLLIN}};
    do {
        leasehold_event event;
        while (leasehold_lessor_next_event(lessor, &event))
            say(&event);
        if (poll(fds, 2, -1) < 0)
            fail("poll", "it cannot wait");
        if (!leasehold_lessor_dispatch(lessor))
            fail("the lessor", leasehold_error());
    } while (!fds[1].revents);
    leasehold_lessor_close(lessor);
    tell_the_time(card, &monitor);
    return 0;
}
