using System.Buffers.Binary;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Pacing;

namespace BarBroker.Transport.Metering;

/// <summary>
/// Follows the frames that a client sends, by their headers alone, and says when there are more of a kind than <see cref="FrameLimits"/> allow.
/// Costs nothing for a call: neither memory nor a look at the clock, which is taken only once a bucket is full. So a bucket that had time to
/// leak before may take twice its burst.
/// </summary>
/// <param name="time">The clock by which buckets leak.</param>
/// <param name="preface">Bytes that come before the first frame.</param>
/// <param name="counters">Learn of resets.</param>
internal sealed class FrameMeter(TimeProvider time, int preface, WireCounters counters)
{
    private const byte EndStream = 1;
    private const byte Padded = 8;

    private readonly Bucket[] _buckets = new Bucket[(int)FrameKind.Continuation];
    private readonly long _start = time.GetTimestamp();

    // What is left of the preface or of a frame's payload.
    private int _rest = preface;

    // A header that came in parts.
    private ulong _partial;
    private int _partialLength;
    private int _continuations;
    private long _sent;

    // Since the price was taken last.
    private long _paidFor;
    private int _counted;
    private int _calls;
    private int _resets;
    private int _rapidResets;

    /// <summary>Tells of bytes that the client was sent. May run beside <see cref="Follow"/>, but not twice at a time.</summary>
    internal void AddSent(int bytes) => Volatile.Write(ref _sent, _sent + bytes);

    /// <summary>Follows the next bytes of the client.</summary>
    /// <returns>The kind of which there are too many; null while all is well.</returns>
    internal FrameKind? Follow(ReadOnlySpan<byte> bytes)
    {
        while (true)
        {
            int skipped = Math.Min(_rest, bytes.Length);
            _rest -= skipped;
            bytes = bytes[skipped..];
            if (!TryReadHeader(ref bytes, out ulong header))
            {
                return null;
            }

            _rest = (int)(header >> 40);
            if (Classify((byte)(header >> 32), (byte)(header >> 24), _rest) is { } kind && IsTooMuch(kind, _rest))
            {
                return kind;
            }
        }
    }

    /// <summary>What the frames that were followed since this was asked last are to cost their user, in microseconds: those that the client was sent bytes for, nothing.</summary>
    internal int TakePrice()
    {
        long sent = Volatile.Read(ref _sent);
        long frames = Math.Max(0, _counted - ((sent - _paidFor) / PaceLimits.BytesPerFrame));
        long price = (frames * PaceLimits.Frame) + (_rapidResets * PaceLimits.RapidReset) + (_resets * PaceLimits.Reset);
        (_paidFor, _counted, _calls, _resets, _rapidResets) = (sent, 0, 0, 0, 0);
        return (int)price;
    }

    /// <summary>The first eight of the nine bytes: length, type, flags, and the most of the stream's number, which nobody needs.</summary>
    private bool TryReadHeader(ref ReadOnlySpan<byte> bytes, out ulong header)
    {
        if (_partialLength == 0 && bytes.Length >= FrameLimits.HeaderSize)
        {
            header = BinaryPrimitives.ReadUInt64BigEndian(bytes);
            bytes = bytes[FrameLimits.HeaderSize..];
            return true;
        }

        while (!bytes.IsEmpty)
        {
            if (++_partialLength == FrameLimits.HeaderSize)
            {
                header = _partial;
                bytes = bytes[1..];
                _partialLength = 0;
                return true;
            }

            _partial = (_partial << 8) | bytes[0];
            bytes = bytes[1..];
        }

        header = 0;
        return false;
    }

    /// <summary>RFC 9113, section 6. Null for frames that are not counted: those that begin calls, and those that bring messages.</summary>
    private FrameKind? Classify(byte type, byte flags, int length)
    {
        if (type == 9)
        {
            return FrameKind.Continuation;
        }

        _continuations = 0;
        switch (type)
        {
            case 0:
                bool isTiny = (flags & Padded) != 0 || (length < FrameLimits.MinData && (flags & EndStream) == 0);
                return isTiny ? FrameKind.TinyData : null;
            case 1:
                _calls++;
                return null;
            case 2:
                return FrameKind.Priority;
            case 3:
                counters.Frames.Add(TakenFrame.Reset);
                CountReset();
                return FrameKind.Reset;
            case 4:
                return FrameKind.Settings;
            case 6:
                return FrameKind.Ping;
            case 8:
                return FrameKind.WindowUpdate;
            default:
                return FrameKind.Other;
        }
    }

    /// <summary>One that comes after a call's begin, in the same bytes, is taken for that call's: who gives up one call and begins another sends them the other way round.</summary>
    private void CountReset()
    {
        if (_calls > 0)
        {
            _calls--;
            _rapidResets++;
        }
        else
        {
            _resets++;
        }
    }

    private bool IsTooMuch(FrameKind kind, int length)
    {
        int cost = kind == FrameKind.Settings ? 1 + (length / FrameLimits.SettingsBytesPerFrame) : 1;
        _counted += kind == FrameKind.Reset ? 0 : cost;
        if (kind == FrameKind.Continuation)
        {
            return ++_continuations > FrameLimits.ContinuationsInARow;
        }

        ref Bucket bucket = ref _buckets[(int)kind];
        FrameLimit limit = FrameLimits.Of(kind);
        bucket.Level += cost;
        if (bucket.Level <= limit.Burst)
        {
            return false;
        }

        bucket.Leak(limit, time.GetElapsedTime(_start).TotalSeconds, Volatile.Read(ref _sent));
        return bucket.Level > limit.Burst;
    }

    /// <summary>Frames of one kind: each fills it, time and bytes sent empty it.</summary>
    private struct Bucket
    {
        private double _lastSeconds;
        private long _lastSent;

        internal double Level { get; set; }

        internal void Leak(FrameLimit limit, double seconds, long sent)
        {
            double leaked = (seconds - _lastSeconds) * limit.PerSecond;
            if (limit.BytesPerFrame > 0)
            {
                leaked += (sent - _lastSent) / (double)limit.BytesPerFrame;
            }

            Level = Math.Max(0, Level - leaked);
            (_lastSeconds, _lastSent) = (seconds, sent);
        }
    }
}
