// What conversions are measured by: moving the same bytes, and the plain correction of a JUNGFRAU frame.
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Copy n_bytes and read n_words of tables once; returns their sum, so that reading is not left out.
uint64_t copy_and_read(void *target, const void *source, size_t n_bytes, const uint64_t *words, size_t n_words)
{
    uint64_t sum = 0;
    memcpy(target, source, n_bytes);
    for (size_t i = 0; i < n_words; i++)
        sum += words[i];
    return sum;
}

// Correct one frame; pedestals and inverse gains are (4, n_pixels), one plane for each gain code.
void three_branches(const uint16_t *raw, const float *pedestals, const float *inverse_gains, float *energies, size_t n_pixels)
{
    for (size_t i = 0; i < n_pixels; i++) {
        unsigned code = raw[i] >> 14;
        float adc = raw[i] & 0x3fff;
        if (code == 0)
            energies[i] = (adc - pedestals[i]) * inverse_gains[i];
        else if (code == 1)
            energies[i] = (adc - pedestals[n_pixels + i]) * inverse_gains[n_pixels + i];
        else if (code == 3)
            energies[i] = (adc - pedestals[3 * n_pixels + i]) * inverse_gains[3 * n_pixels + i];
        else
            energies[i] = NAN;
    }
}
