using System.Collections.Immutable;
using System.Globalization;
using BarBroker.Devices;
using BarBroker.Grpc;
using BarBroker.Policy;
using Duration = Google.Protobuf.WellKnownTypes.Duration;
using V1 = BarBroker.V1;

namespace BarBroker.Rpc.Services;

/// <summary>Turns requests into the domain's types, or says what is wrong with them. Knows neither policy nor devices.</summary>
internal static class RequestReader
{
    /// <summary>Ten years: what is meant to be without an end leaves it unset.</summary>
    private static readonly TimeSpan LongestLease = TimeSpan.FromDays(3650);

    /// <summary>Who has to wait longer should say so again.</summary>
    private static readonly TimeSpan LongestGrace = TimeSpan.FromHours(1);

    // Fields of AcquireRequest, as violations name them.
    public const string WindowField = "window";
    public const string RangesField = "ranges.ranges";
    private const string AccessField = "access";
    private const string TargetField = "target";
    private const string P2PField = "p2p";
    private const string BarField = "ranges.bar";

    public static LeaseAccess ReadAccess(V1.Access access) => access switch
    {
        V1.Access.ReadOnly => LeaseAccess.ReadOnly,
        V1.Access.ReadWrite => LeaseAccess.ReadWrite,
        V1.Access.Unspecified => throw RpcErrors.CreateBadRequest(
            "The request has no access. Set it to ACCESS_READ_ONLY or ACCESS_READ_WRITE.", Reasons.AccessMissing, AccessField),
        _ => throw RpcErrors.CreateBadRequest(
            $"{(int)access} is no access that this broker knows. Set ACCESS_READ_ONLY (1) or ACCESS_READ_WRITE (2).", Reasons.AccessMissing, AccessField),
    };

    public static LeaseTarget ReadTarget(V1.AcquireRequest request) => request.TargetCase switch
    {
        V1.AcquireRequest.TargetOneofCase.Window when request.Window.Length > 0 => new WindowTarget(request.Device, request.Window),
        V1.AcquireRequest.TargetOneofCase.Ranges => new RangeTarget(request.Device, ReadRanges(request.Ranges)),
        _ => throw RpcErrors.CreateBadRequest(
            "The request names nothing to lease. Set window to a window's name, or ranges to a BAR and its ranges.",
            Reasons.TargetMissing,
            request.TargetCase == V1.AcquireRequest.TargetOneofCase.Window ? WindowField : TargetField),
    };

    /// <summary>Checks that a request for a peer-to-peer lease asks for something that one can be.</summary>
    public static void CheckP2P(bool p2p, LeaseAccess access, LeaseTarget target)
    {
        if (p2p && access != LeaseAccess.ReadWrite)
        {
            throw RpcErrors.CreateBadRequest(
                "A peer-to-peer lease can't be read-only: a driver that attaches to it may have its device write. Set access to ACCESS_READ_WRITE, or p2p to false.",
                Reasons.P2PReadOnly,
                AccessField,
                P2PField);
        }

        if (p2p && target is RangeTarget { Ranges.Count: > 1 and var count })
        {
            throw Errors.P2PRanges($"The request has {count} ranges", RangesField);
        }
    }

    /// <summary>Checks that the client can take the descriptor in a way that this broker has.</summary>
    /// <returns>True for a ticket.</returns>
    public static bool ReadTicketDelivery(V1.Delivery delivery) => delivery switch
    {
        V1.Delivery.InBand => false,
        V1.Delivery.Ticket => true,
        V1.Delivery.Unspecified => throw RpcErrors.Create(
            StatusCode.FailedPrecondition,
            "The request does not say how the descriptor is to be delivered. With a stock gRPC library, in any language, set delivery to DELIVERY_TICKET: "
            + "the reply then has a ticket, with which a second connection to this socket fetches the descriptor (broker.proto says how). "
            + "DELIVERY_IN_BAND is for clients that read descriptors from their own gRPC socket, as the BarBroker.Client SDK does: a stock library would lose the descriptor.",
            Reasons.DeliveryMissing),
        _ => throw Errors.DeliveryUnsupported(
            $"This broker can't deliver with {((int)delivery).ToString(System.Globalization.CultureInfo.InvariantCulture)}: it has DELIVERY_IN_BAND (1) and DELIVERY_TICKET (2)."),
    };

    /// <inheritdoc cref="PeerText.Show"/>
    public static string Show(string name) => PeerText.Show(name);

    /// <summary>Which entry the last page ended with, and how many the next may have.</summary>
    public static (ulong Last, int Size) ReadPage(string token, int size)
    {
        if (size < 0)
        {
            throw RpcErrors.CreateBadRequest($"page_size is {size}; it is 0 for as many as fit, or more.", Reasons.PageSizeInvalid, "page_size");
        }

        ulong last = 0;
        return token.Length == 0 || ulong.TryParse(token, NumberStyles.None, CultureInfo.InvariantCulture, out last)
            ? (last, size == 0 ? int.MaxValue : size)
            : throw RpcErrors.CreateBadRequest($"page_token {Show(token)} is none: it is the next_page_token of an answer, or empty.", Reasons.PageTokenInvalid, "page_token");
    }

    /// <summary>Of a lease; null where none was asked for.</summary>
    public static TimeSpan? ReadLeaseTime(Duration? time) => ReadSpan(time, TimeSpan.FromTicks(1), LongestLease, Reasons.LeaseTimeInvalid, "lease_time");

    /// <summary>Before a revoke; 0 where none was asked for.</summary>
    public static TimeSpan ReadGrace(Duration? grace) => ReadSpan(grace, TimeSpan.Zero, LongestGrace, Reasons.GraceInvalid, "grace") ?? TimeSpan.Zero;

    private static TimeSpan? ReadSpan(Duration? span, TimeSpan least, TimeSpan most, string reason, string field)
    {
        if (span is null)
        {
            return null;
        }

        // Durations have nanoseconds, and more years than a TimeSpan.
        if (span is { Seconds: >= 0, Nanos: >= 0 and < 1_000_000_000 } && span.Seconds <= (long)most.TotalSeconds)
        {
            TimeSpan read = TimeSpan.FromSeconds(span.Seconds) + TimeSpan.FromTicks((span.Nanos + 99) / 100);
            if (read >= least && read <= most)
            {
                return read;
            }
        }

        string lower = least > TimeSpan.Zero ? "more than 0" : "0 or more";
        throw RpcErrors.CreateBadRequest($"{field} is {span.Seconds} s and {span.Nanos} ns; it is {lower}, and at most {most.TotalSeconds:0} s.", reason, field);
    }

    /// <summary>The target, for the log.</summary>
    public static string Describe(LeaseTarget target) => target switch
    {
        WindowTarget wanted => $"window {Show(wanted.Window)} of device {Show(wanted.Device)}",
        RangeTarget wanted => $"{wanted.Ranges} of device {Show(wanted.Device)}",
        _ => Show(target.ToString()),
    };

    private static RangeList ReadRanges(V1.BarRanges ranges)
    {
        // Counted before anything is made of them.
        if (ranges.Ranges.Count is 0 or > RangeList.MaxCount)
        {
            throw Errors.RangeCount($"The request has {ranges.Ranges.Count} ranges; a lease has 1 to {RangeList.MaxCount}.", RangesField);
        }

        ImmutableArray<BarRange> read = [.. ranges.Ranges.Select((range, index) => ReadRange(ranges.Bar, range, index))];
        if (RangeList.TryCreate(read, out RangeList? list, out int culprit) == RangeListError.None)
        {
            return list!;
        }

        // They are few enough, and of one BAR.
        throw RpcErrors.CreateBadRequest(
            $"{read[culprit]} overlaps {read.First(read[culprit].Overlaps)}, an earlier range of the request: name each byte once.",
            Reasons.RangesOverlap,
            $"{RangesField}[{culprit}]");
    }

    private static BarRange ReadRange(uint bar, V1.Range message, int index)
    {
        (ulong offset, ulong length) = (message.Offset, message.Length);
        return BarRange.TryCreate(bar, offset, length, out BarRange range) switch
        {
            RangeError.None => range,
            RangeError.BarInvalid => throw RpcErrors.CreateBadRequest(
                $"There is no BAR {bar} on any device: BARs are numbered 0 to 5.", Reasons.BarInvalid, BarField),
            RangeError.Empty => throw RpcErrors.CreateBadRequest(
                $"The range at 0x{offset:x} has length 0; the least is one page, 0x{BarRange.PageSize:x}.", Reasons.RangeEmpty, Field("length")),
            RangeError.Unaligned => throw RpcErrors.CreateBadRequest(
                $"Offset 0x{offset:x} and length 0x{length:x} must both be multiples of the page size, 0x{BarRange.PageSize:x}. {DescribeEnclosing(offset, length)}",
                Reasons.RangeUnaligned,
                offset % BarRange.PageSize == 0 ? [Field("length")] : length % BarRange.PageSize == 0 ? [Field("offset")] : [Field("offset"), Field("length")]),
            _ => throw RpcErrors.CreateBadRequest(
                $"Offset 0x{offset:x} plus length 0x{length:x} is more than 64 bits hold.", Reasons.RangeOverflow, Field("offset"), Field("length")),
        };

        string Field(string name) => $"{RangesField}[{index}].{name}";
    }

    private static string DescribeEnclosing(ulong offset, ulong length)
    {
        UInt128 page = BarRange.PageSize;
        UInt128 start = offset / page * page;
        UInt128 end = ((UInt128)offset + length + page - 1) / page * page;
        return $"The pages around it are offset 0x{start:x}, length 0x{end - start:x}.";
    }
}
