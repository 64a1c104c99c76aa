/* The receiver that an able C programmer writes first: recvmmsg into scratch, memcpy to ring[frame][packet].
 *
 * It believes every header: no check of length, detector, module or packet number, no bitmap, no count of what is
 * missing, no duplicates, no end of a frame, nobody who is told. Packets are laid out as slsDetectors send them: the
 * frame number is the u64 at byte 0, the number of the packet the u32 at byte 12.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { FRAME_NUMBER = 0, PACKET_NUMBER = 12, CACHE_LINE = 64 };

struct receiver {
    int fd;
    uint8_t *ring;
    uint64_t n_slots;
    size_t slot_bytes, header_bytes, payload_bytes, row_bytes;
    unsigned batch;
    uint8_t *scratch;
    struct mmsghdr *messages;
    struct iovec *iovecs;
};

void receiver_close(struct receiver *r)
{
    free(r->scratch);
    free(r->messages);
    free(r->iovecs);
    free(r);
}

/* The socket has a receive timeout, so that `stop` is looked at when nothing comes. NULL where memory is short. */
struct receiver *receiver_open(int fd, uint8_t *ring, uint64_t n_slots, uint64_t slot_bytes, uint32_t header_bytes,
                               uint32_t payload_bytes, uint32_t batch)
{
    struct receiver *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->fd = fd;
    r->ring = ring;
    r->n_slots = n_slots;
    r->slot_bytes = slot_bytes;
    r->header_bytes = header_bytes;
    r->payload_bytes = payload_bytes;
    r->row_bytes = (header_bytes + payload_bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    r->batch = batch;
    r->scratch = aligned_alloc(CACHE_LINE, batch * r->row_bytes);
    r->messages = calloc(batch, sizeof *r->messages);
    r->iovecs = calloc(batch, sizeof *r->iovecs);
    if (!r->scratch || !r->messages || !r->iovecs) {
        receiver_close(r);
        return NULL;
    }
    memset(r->scratch, 0, batch * r->row_bytes);
    for (unsigned i = 0; i < batch; i++) {
        r->iovecs[i].iov_base = r->scratch + i * r->row_bytes;
        r->iovecs[i].iov_len = r->row_bytes;
        r->messages[i].msg_hdr.msg_iov = &r->iovecs[i];
        r->messages[i].msg_hdr.msg_iovlen = 1;
    }
    return r;
}

/* Receives until n_packets have come or *stop is set; *n_received tells how many so far. Returns 0 or an errno. */
int receiver_run(struct receiver *r, int64_t n_packets, const volatile int32_t *stop, volatile int64_t *n_received)
{
    int64_t n = 0;
    *n_received = 0;
    while (n < n_packets && !*stop) {
        int got = recvmmsg(r->fd, r->messages, r->batch, MSG_WAITFORONE, NULL);
        if (got < 0) {
            if (errno == EAGAIN || errno == EINTR)
                continue;
            return errno;
        }
        for (int i = 0; i < got; i++) {
            const uint8_t *packet = r->scratch + i * r->row_bytes;
            uint64_t frame;
            uint32_t number;
            memcpy(&frame, packet + FRAME_NUMBER, sizeof frame);
            memcpy(&number, packet + PACKET_NUMBER, sizeof number);
            memcpy(r->ring + frame % r->n_slots * r->slot_bytes + number * r->payload_bytes, packet + r->header_bytes,
                   r->payload_bytes);
        }
        n += got;
        *n_received = n;
    }
    return 0;
}
