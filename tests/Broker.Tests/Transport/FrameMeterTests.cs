using System.Buffers.Binary;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Metering;
using BarBroker.Transport.Pacing;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Transport;

public sealed class FrameMeterTests : IDisposable
{
    private const int Preface = 24;
    private const byte EndStream = 1;
    private const byte Padded = 8;

    private readonly FakeTimeProvider _time = new();
    private readonly WireCounters _counters = new();

    /// <summary>Kinds that have a bucket, each with a frame of theirs: type, flags, length.</summary>
    public static TheoryData<int, byte, byte, int> Buckets { get; } = new()
    {
        { (int)FrameKind.Ping, 6, 0, 8 },
        { (int)FrameKind.Ping, 6, 1, 8 },
        { (int)FrameKind.Settings, 4, 0, 0 },
        { (int)FrameKind.Settings, 4, 1, 0 },
        { (int)FrameKind.Priority, 2, 0, 5 },
        { (int)FrameKind.WindowUpdate, 8, 0, 4 },
        { (int)FrameKind.TinyData, 0, 0, 0 },
        { (int)FrameKind.TinyData, 0, 0, FrameLimits.MinData - 1 },
        { (int)FrameKind.TinyData, 0, Padded, 200 },
        { (int)FrameKind.Reset, 3, 0, 4 },
        { (int)FrameKind.Other, 7, 0, 8 },
        { (int)FrameKind.Other, 0xee, 0, 0 },
    };

    public void Dispose() => _counters.Dispose();

    [Theory]
    [MemberData(nameof(Buckets))]
    public void Of_each_kind_a_burst_is_taken_and_not_one_more(int kind, byte type, byte flags, int length)
    {
        FrameMeter meter = Begin();

        Assert.Null(Follow(meter, FrameLimits.Of((FrameKind)kind).Burst, type, flags, length));
        Assert.Equal((FrameKind)kind, Follow(meter, 1, type, flags, length));
    }

    [Theory]
    [MemberData(nameof(Buckets))]
    public void After_a_burst_as_many_are_taken_as_its_rate_allows(int kind, byte type, byte flags, int length)
    {
        FrameLimit limit = FrameLimits.Of((FrameKind)kind);
        FrameMeter meter = Begin();
        Follow(meter, limit.Burst, type, flags, length);

        _time.Advance(TimeSpan.FromSeconds(1));

        Assert.Null(Follow(meter, limit.PerSecond, type, flags, length));
        Assert.Equal((FrameKind)kind, Follow(meter, 1, type, flags, length));
    }

    [Theory]
    [MemberData(nameof(Buckets))]
    public void What_the_client_was_sent_earns_more_of_those_that_answer_it(int kind, byte type, byte flags, int length)
    {
        FrameLimit limit = FrameLimits.Of((FrameKind)kind);
        FrameMeter meter = Begin();
        Follow(meter, limit.Burst, type, flags, length);

        meter.AddSent(limit.BytesPerFrame * 3);

        Assert.Null(Follow(meter, limit.BytesPerFrame > 0 ? 3 : 0, type, flags, length));
        Assert.Equal((FrameKind)kind, Follow(meter, 1, type, flags, length));
    }

    [Fact]
    public void Kinds_do_not_use_up_each_others_buckets()
    {
        FrameMeter meter = Begin();
        Follow(meter, FrameLimits.Of(FrameKind.Settings).Burst, 4, 0, 0);

        Assert.Null(Follow(meter, FrameLimits.Of(FrameKind.Ping).Burst, 6, 0, 8));
    }

    [Fact]
    public void Calls_and_messages_are_not_counted()
    {
        FrameMeter meter = Begin();
        for (int call = 0; call < 100_000; call++)
        {
            Assert.Null(meter.Follow([.. Header(1, 4, 30), .. new byte[30], .. Header(0, EndStream, 5), .. new byte[5], .. Header(0, EndStream, 0)]));
        }
    }

    [Fact]
    public void Long_settings_count_for_more()
    {
        FrameMeter meter = Begin();
        int cost = 1 + (16_380 / FrameLimits.SettingsBytesPerFrame);

        int taken = 0;
        while (Follow(meter, 1, 4, 0, 16_380) is null)
        {
            taken++;
        }

        Assert.Equal(FrameLimits.Of(FrameKind.Settings).Burst / cost, taken);
    }

    [Fact]
    public void Continuations_are_taken_up_to_so_many_in_a_row()
    {
        FrameMeter meter = Begin();
        for (int block = 0; block < 1000; block++)
        {
            Assert.Null(Follow(meter, 1, 1, 0, 10));
            Assert.Null(Follow(meter, FrameLimits.ContinuationsInARow, 9, 0, 10));
        }

        Assert.Equal(FrameKind.Continuation, Follow(meter, 1, 9, 0, 0));
    }

    [Theory]
    [MemberData(nameof(Buckets))]
    public void Frames_that_are_counted_have_a_price_once(int kind, byte type, byte flags, int length)
    {
        FrameMeter meter = Begin();

        Follow(meter, 10, type, flags, length);

        Assert.Equal(10 * (kind == (int)FrameKind.Reset ? PaceLimits.Reset : PaceLimits.Frame), meter.TakePrice());
        Assert.Equal(0, meter.TakePrice());
    }

    [Fact]
    public void Continuations_and_long_settings_have_a_price_too()
    {
        FrameMeter meter = Begin();
        Follow(meter, 3, 9, 0, 10);
        Assert.Equal(3 * PaceLimits.Frame, meter.TakePrice());

        Follow(meter, 1, 4, 0, 2 * FrameLimits.SettingsBytesPerFrame);
        Assert.Equal(3 * PaceLimits.Frame, meter.TakePrice());
    }

    [Fact]
    public void Frames_that_answer_what_the_client_was_sent_are_free()
    {
        FrameMeter meter = Begin();
        meter.AddSent(3 * PaceLimits.BytesPerFrame);

        Follow(meter, 5, 6, 0, 8);

        Assert.Equal(2 * PaceLimits.Frame, meter.TakePrice());
    }

    [Fact]
    public void Calls_are_free_and_to_reset_them_at_once_is_dearest()
    {
        FrameMeter meter = Begin();
        Follow(meter, 10, 1, 4, 30);
        Follow(meter, 10, 0, EndStream, 30);
        Assert.Equal(0, meter.TakePrice());

        Follow(meter, 1, 1, 4, 30);
        Follow(meter, 3, 3, 0, 4);
        Assert.Equal(PaceLimits.RapidReset + (2 * PaceLimits.Reset), meter.TakePrice());

        // One call is given up, another begun.
        Follow(meter, 1, 3, 0, 4);
        Follow(meter, 1, 1, 4, 30);
        Assert.Equal(PaceLimits.Reset, meter.TakePrice());
    }

    [Fact]
    public void Resets_are_counted()
    {
        Follow(Begin(), 7, 3, 0, 4);

        Assert.Equal(7, _counters.Frames[TakenFrame.Reset]);
    }

    [Fact]
    public void However_the_bytes_are_split_the_same_frames_are_seen()
    {
        // Payloads that look like frames, so that losing one's place shows.
        byte[] bytes = [.. new byte[Preface], .. Enumerable.Range(0, 99).SelectMany(frame => (byte[])[.. Header(4, 0, frame % 40), .. Enumerable.Repeat((byte)4, frame % 40)])];
        Prop.ForAll<PositiveInt[]>(sizes =>
        {
            FrameMeter meter = new(_time, Preface, _counters);
            int start = 0;
            for (int piece = 0; start < bytes.Length; piece++)
            {
                int size = Math.Min(sizes.Length == 0 ? 1 : 1 + (sizes[piece % sizes.Length].Get % 64), bytes.Length - start);
                if (meter.Follow(bytes.AsSpan(start, size)) is not null)
                {
                    return false;
                }

                start += size;
            }

            return Follow(meter, 1, 4, 0, 0) is null && Follow(meter, 1, 4, 0, 0) == FrameKind.Settings;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Following_allocates_nothing()
    {
        FrameMeter meter = Begin();
        byte[] call = [.. Header(1, 4, 100), .. new byte[100], .. Header(0, EndStream, 80), .. new byte[80], .. Header(6, 0, 8), .. new byte[8]];
        meter.Follow(call);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 500; i++)
        {
            meter.Follow(call);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private FrameMeter Begin()
    {
        FrameMeter meter = new(_time, Preface, _counters);
        Assert.Null(meter.Follow(new byte[Preface]));
        return meter;
    }

    private static FrameKind? Follow(FrameMeter meter, int count, byte type, byte flags, int length)
    {
        byte[] frame = [.. Header(type, flags, length), .. new byte[length]];
        for (int i = 0; i < count; i++)
        {
            if (meter.Follow(frame) is { } kind)
            {
                return kind;
            }
        }

        return null;
    }

    private static byte[] Header(byte type, byte flags, int length)
    {
        byte[] header = new byte[FrameLimits.HeaderSize];
        BinaryPrimitives.WriteUInt32BigEndian(header, ((uint)length << 8) | type);
        header[4] = flags;
        header[8] = 1;
        return header;
    }
}
