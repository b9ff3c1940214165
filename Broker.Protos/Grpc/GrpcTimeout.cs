using System.Globalization;

namespace BarBroker.Grpc;

/// <summary>The <c>grpc-timeout</c> header: one to eight digits and a unit.</summary>
internal static class GrpcTimeout
{
    private const int MaxDigits = 8;
    private const long MaxValue = 99_999_999;

    private static readonly (char Unit, long Ticks)[] Units =
    [
        ('u', TimeSpan.TicksPerMicrosecond),
        ('m', TimeSpan.TicksPerMillisecond),
        ('S', TimeSpan.TicksPerSecond),
        ('M', TimeSpan.TicksPerMinute),
        ('H', TimeSpan.TicksPerHour),
    ];

    internal static bool TryParse(string? text, out TimeSpan timeout)
    {
        timeout = default;

        // Digits only: the parser by itself takes a number with NULs behind it.
        if (text is null || text.Length is < 2 or > MaxDigits + 1
            || text.AsSpan(0, text.Length - 1).ContainsAnyExceptInRange('0', '9')
            || !long.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out long value))
        {
            return false;
        }

        char unit = text[^1];
        if (unit == 'n')
        {
            // Rounded up to what a TimeSpan can say: a timeout never gets shorter on its way.
            timeout = TimeSpan.FromTicks((value + TimeSpan.NanosecondsPerTick - 1) / TimeSpan.NanosecondsPerTick);
            return true;
        }

        foreach ((char candidate, long ticks) in Units)
        {
            if (candidate == unit)
            {
                timeout = TimeSpan.FromTicks(value * ticks);
                return true;
            }
        }

        return false;
    }

    /// <summary>In the finest unit that fits, rounded up; a negative timeout becomes zero.</summary>
    internal static string Format(TimeSpan timeout)
    {
        if (timeout <= TimeSpan.Zero)
        {
            return "0u";
        }

        foreach ((char unit, long ticks) in Units)
        {
            long value = ((timeout.Ticks - 1) / ticks) + 1;
            if (value <= MaxValue)
            {
                return string.Create(CultureInfo.InvariantCulture, $"{value}{unit}");
            }
        }

        return string.Create(CultureInfo.InvariantCulture, $"{MaxValue}H");
    }
}
