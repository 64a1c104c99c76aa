// One TCP socket over loopback, from memory to memory: what moving images between two servers costs at least.
//
// One thread sends image after image with send(), another one receives each into its place with recv(). They block, know
// how many images there are, and tell each other nothing. The kernel sizes its buffers itself; the receiver is woken up
// for a megabyte (SO_RCVLOWAT), or the end of an image.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { WAKE_UP_BYTES = 1 << 20 };

struct side {
    int socket;
    char *memory;
    size_t stride, image_bytes, n_slots, n_images;
    double cpu_seconds;
    int error;
};

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void *send_images(void *argument)
{
    struct side *side = argument;
    double began = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < side->n_images; i++) {
        const char *image = side->memory + i % side->n_slots * side->stride;
        for (size_t at = 0; at < side->image_bytes;) {
            ssize_t n = send(side->socket, image + at, side->image_bytes - at, MSG_NOSIGNAL);
            if (n < 0) {
                side->error = errno;
                shutdown(side->socket, SHUT_RDWR);
                return NULL;
            }
            at += (size_t)n;
        }
    }
    shutdown(side->socket, SHUT_WR); // or nobody would be woken up for what is left
    side->cpu_seconds = seconds(CLOCK_THREAD_CPUTIME_ID) - began;
    return NULL;
}

static void receive_images(struct side *side)
{
    double began = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < side->n_images; i++) {
        char *image = side->memory + i % side->n_slots * side->stride;
        for (size_t at = 0; at < side->image_bytes;) {
            ssize_t n = recv(side->socket, image + at, side->image_bytes - at, 0);
            if (n <= 0) {
                side->error = n ? errno : ECONNRESET;
                shutdown(side->socket, SHUT_RDWR);
                return;
            }
            at += (size_t)n;
        }
    }
    side->cpu_seconds = seconds(CLOCK_THREAD_CPUTIME_ID) - began;
}

static int connect_pair(int *near_end, int *far_end)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    *near_end = socket(AF_INET, SOCK_STREAM, 0);
    *far_end = -1;
    if (listener >= 0 && *near_end >= 0 && !bind(listener, (struct sockaddr *)&address, length) && !listen(listener, 1)
        && !getsockname(listener, (struct sockaddr *)&address, &length)
        && !connect(*near_end, (struct sockaddr *)&address, length))
        *far_end = accept(listener, NULL, NULL);
    int n_bytes = WAKE_UP_BYTES;
    int error = *far_end < 0 || setsockopt(*far_end, SOL_SOCKET, SO_RCVLOWAT, &n_bytes, sizeof n_bytes) ? errno : 0;
    if (listener >= 0)
        close(listener);
    return error;
}

// Copies n_images from slots to slots of the same number; tells the seconds and the CPU seconds of both sides.
// Returns 0 or the error number.
int tcp_copy(char *far, char *near, size_t stride, size_t image_bytes, size_t n_slots, size_t n_images,
             double *wall_seconds, double *cpu_seconds)
{
    int near_end, far_end;
    int error = connect_pair(&near_end, &far_end);
    if (!error) {
        struct side sender = {near_end, near, stride, image_bytes, n_slots, n_images, 0, 0};
        struct side receiver = {far_end, far, stride, image_bytes, n_slots, n_images, 0, 0};
        pthread_t thread;
        double began = seconds(CLOCK_MONOTONIC);
        error = pthread_create(&thread, NULL, send_images, &sender);
        if (!error) {
            receive_images(&receiver);
            *wall_seconds = seconds(CLOCK_MONOTONIC) - began;
            pthread_join(thread, NULL);
            *cpu_seconds = sender.cpu_seconds + receiver.cpu_seconds;
            error = receiver.error ? receiver.error : sender.error;
        }
    }
    if (near_end >= 0)
        close(near_end);
    if (far_end >= 0)
        close(far_end);
    return error;
}
