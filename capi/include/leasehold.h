/* Leases headsets out from a card that the caller owns, and tells when vblanks come: docs/capi.md.
 *
 * Made from capi/src by cbindgen, see capi/tests/header.rs. Functions that can fail return false or NULL, and
 * leasehold_error() then says why. Times are nanoseconds of CLOCK_MONOTONIC. An object is used by one thread at a time. */


#ifndef LEASEHOLD_H
#define LEASEHOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 What an event is about.
 */
typedef enum leasehold_happening {
  /*
   Clients can ask.
   */
  LEASEHOLD_HAPPENING_READY,
  /*
   A connector is on offer.
   */
  LEASEHOLD_HAPPENING_OFFERED,
  /*
   A request was refused.
   */
  LEASEHOLD_HAPPENING_DENIED,
  /*
   A lease was handed over.
   */
  LEASEHOLD_HAPPENING_GRANTED,
  /*
   A lease is over and its panel dark.
   */
  LEASEHOLD_HAPPENING_ENDED,
  /*
   An offer was taken back.
   */
  LEASEHOLD_HAPPENING_WITHDRAWN,
  /*
   Another session has the card.
   */
  LEASEHOLD_HAPPENING_PAUSED,
  /*
   The card is back.
   */
  LEASEHOLD_HAPPENING_RESUMED,
} leasehold_happening;

/*
 Period and phase of a display's vblanks, as measured.
 */
typedef struct leasehold_clock leasehold_clock;

/*
 A card whose headsets are for lease.
 */
typedef struct leasehold_lessor leasehold_lessor;

/*
 A vblank as the kernel counts and stamps it.
 */
typedef struct leasehold_vblank {
  /*
   How many vblanks the CRTC has had.
   */
  uint64_t sequence;
  /*
   When the first pixel after it went out.
   */
  int64_t time_ns;
} leasehold_vblank;

/*
 When a vblank was or will be, and how sure that is.
 */
typedef struct leasehold_prediction {
  /*
   Its count.
   */
  uint64_t sequence;
  /*
   Its time.
   */
  int64_t time_ns;
  /*
   One standard deviation of its time.
   */
  int64_t error_ns;
} leasehold_prediction;

/*
 Something that happened to a connector. A lease on two connectors makes two events. Texts end with a zero and are cut
 where they would not fit; what is unknown is empty.
 */
typedef struct leasehold_event {
  /*
   What.
   */
  enum leasehold_happening happening;
  /*
   The kernel's number for the lease, 0 where it is about none.
   */
  uint32_t lessee;
  /*
   The client's process, 0 where it is about no client.
   */
  uint32_t pid;
  /*
   The user whom the client ran as, UINT32_MAX where it is about no client.
   */
  uint32_t uid;
  /*
   When it happened or, for an end, a grant and a withdrawal, when its cause was noticed.
   */
  int64_t at_ns;
  /*
   From noticing a lease's end until the kernel had ended it; -1 where it is about none.
   */
  int64_t revoked_ns;
  /*
   From noticing a lease's end until its panel was dark; -1 where it is about none or would not go.
   */
  int64_t blanked_ns;
  /*
   The connector, "DP-1" say.
   */
  char connector[32];
  /*
   One word for why: for an end released, exited, crashed, hung, unplugged, revoked or shutdown.
   */
  char reason[32];
  /*
   Why a request was refused, in a sentence.
   */
  char why[256];
} leasehold_event;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Reads the newest vblank of a CRTC that is on. Anyone may who has the card open; leases see their own CRTCs.

 # Safety
 `card_fd` is an open fd, and `vblank` can be written to.
 */
bool leasehold_vblank_read(int card_fd, uint32_t crtc, struct leasehold_vblank *vblank);

/*
 Makes a clock that has seen nothing yet. `period_ns` is the mode's own, htotal * vtotal / pixel clock. NULL where that
 is not above zero.
 */
struct leasehold_clock *leasehold_clock_open(int64_t period_ns);

/*
 Takes in a vblank: from leasehold_vblank_read, from a flip's event (its count widened to 64 bits), or from a
 DRM_EVENT_CRTC_SEQUENCE. The same one again is ignored; a count that went back starts the clock anew.

 # Safety
 `clock` is of `leasehold_clock_open` and not closed.
 */
void leasehold_clock_observe(struct leasehold_clock *clock, uint64_t sequence, int64_t time_ns);

/*
 Tells when the vblank comes that is `ahead` after the newest seen; 0 is that one itself, and what is said of it is
 evened out. False before one was seen.

 # Safety
 `clock` is of `leasehold_clock_open` and not closed; `prediction` can be written to.
 */
bool leasehold_clock_ahead(const struct leasehold_clock *clock,
                           uint32_t ahead,
                           struct leasehold_prediction *prediction);

/*
 Tells of the first vblank after a time that has a higher count than the newest seen. False before one was seen.

 # Safety
 `clock` is of `leasehold_clock_open` and not closed; `prediction` can be written to.
 */
bool leasehold_clock_next_after(const struct leasehold_clock *clock,
                                int64_t time_ns,
                                struct leasehold_prediction *prediction);

/*
 From one vblank to the next in nanoseconds: as measured, or the mode's own until 16 were seen.

 # Safety
 `clock` is of `leasehold_clock_open` and not closed.
 */
double leasehold_clock_period_ns(const struct leasehold_clock *clock);

/*
 Frees a clock; NULL is none.

 # Safety
 `clock` is of `leasehold_clock_open`, and is not used again.
 */
void leasehold_clock_close(struct leasehold_clock *clock);

/*
 Why the last call on this thread failed that did: what was tried, on what, the cause and the remedy. Valid until the
 next call on this thread; empty where none has failed.
 */
const char *leasehold_error(void);

/*
 Starts leasing out the headsets of a card, of which the caller is and stays master, on a Wayland socket of its own.

 The fd is borrowed: the lessor works through a copy, and gives it the client capability for atomic mode setting.
 `socket` names the socket in $XDG_RUNTIME_DIR. The connectors, CRTCs and planes in `kept` are the caller's own and in
 no lease; nor are those that drive a monitor whenever the card is looked at. `policy` is TOML (docs/policy.md); NULL
 allows the user that runs this.

 # Safety
 `card_fd` is an open fd, the texts end with a zero, and `kept` points to `kept_count` numbers.
 */
struct leasehold_lessor *leasehold_lessor_open(int card_fd,
                                               const char *socket,
                                               const uint32_t *kept,
                                               size_t kept_count,
                                               const char *policy);

/*
 What to poll for reading; calls for leasehold_lessor_dispatch. The lessor's own, open until it is closed.

 # Safety
 `lessor` is of `leasehold_lessor_open` and not closed.
 */
int leasehold_lessor_fd(const struct leasehold_lessor *lessor);

/*
 Does all there is to do, without waiting. To be called whenever the fd can be read.

 # Safety
 `lessor` is of `leasehold_lessor_open` and not closed.
 */
bool leasehold_lessor_dispatch(struct leasehold_lessor *lessor);

/*
 Takes the oldest event that nobody has taken. False where there is none.

 # Safety
 `lessor` is of `leasehold_lessor_open` and not closed; `event` can be written to.
 */
bool leasehold_lessor_next_event(struct leasehold_lessor *lessor, struct leasehold_event *event);

/*
 What the caller keeps from here on, in place of what it kept before. What is leased stays leased.

 # Safety
 `lessor` is of `leasehold_lessor_open` and not closed, and `kept` points to `kept_count` numbers.
 */
bool leasehold_lessor_keep(struct leasehold_lessor *lessor, const uint32_t *kept, size_t kept_count);

/*
 Ends the lease on a connector, if there is one.

 # Safety
 `lessor` is of `leasehold_lessor_open` and not closed.
 */
bool leasehold_lessor_reclaim(struct leasehold_lessor *lessor, uint32_t connector);

/*
 To be called before another session gets the card, or as soon as it has it: offers are taken back, and leases sleep
 or, with `revoke`, end.

 # Safety
 `lessor` is of `leasehold_lessor_open` and not closed.
 */
bool leasehold_lessor_pause(struct leasehold_lessor *lessor,
                            bool revoke);

/*
 To be called when the caller is the card's master again.

 # Safety
 `lessor` is of `leasehold_lessor_open` and not closed.
 */
bool leasehold_lessor_resume(struct leasehold_lessor *lessor);

/*
 Ends all leases, turns their panels off, takes the socket away and frees the lessor; NULL is none.

 # Safety
 `lessor` is of `leasehold_lessor_open`, and is not used again.
 */
void leasehold_lessor_close(struct leasehold_lessor *lessor);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LEASEHOLD_H */
