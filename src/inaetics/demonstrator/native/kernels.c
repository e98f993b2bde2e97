/* What the native processor computes. Freestanding: `inaetics.containers.native` compiles it into the agents' image. */

void sums(const double *left, const double *right, double *into, long count)
{
    long i;
    for (i = 0; i < count; i++)
        into[i] = left[i] + right[i];
}

/* Something to compute: the logistic map, again and again. */
double burn(double value, long rounds)
{
    while (rounds-- > 0)
        value = 3.9 * value * (1 - value);
    return value;
}
