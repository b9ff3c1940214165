using System.Globalization;

namespace BarBroker.EndToEnd.Harness;

/// <summary>The kernel module.</summary>
internal static class BarLeaseModule
{
    /// <summary>Who holds it: each open session, each lease's DMABUF that anybody has open or mapped, each device with such a lease.</summary>
    internal static int Users => int.Parse(File.ReadAllText("/sys/module/bar_lease/refcnt"), CultureInfo.InvariantCulture);
}
