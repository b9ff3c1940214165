using System.Buffers;
using System.Text;
using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;
using FsCheck;
using FsCheck.Fluent;
using Google.Protobuf;
using Xunit;

namespace BarBroker.Tests.Wire;

public sealed class EncodingTests
{
    // All of Unicode, without half characters, which no UTF-8 can say.
    private static readonly Arbitrary<string> Text = ArbMap.Default.GeneratorFor<int[]>()
        .Select(points => string.Concat(points.Select(point => new Rune(Math.Abs(point % 0xd800)).ToString()))).ToArbitrary();

    [Fact]
    public void Any_text_survives_percent_encoding() =>
        Prop.ForAll(Text, static text => PercentEncoding.Decode(PercentEncoding.Encode(text)) == text).QuickCheckThrowOnFailure();

    [Fact]
    public void Percent_encoded_text_is_printable_ASCII() =>
        Prop.ForAll<string>(static text => PercentEncoding.Encode(text ?? string.Empty).All(static c => c is >= ' ' and <= '~')).QuickCheckThrowOnFailure();

    [Fact]
    public void Percent_decoding_takes_anything() =>
        Prop.ForAll<string>(static text => PercentEncoding.Decode(text ?? string.Empty) is not null).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("a%2", "a%2")]
    [InlineData("a%", "a%")]
    [InlineData("%zz", "%zz")]
    [InlineData("%+1", "%+1")]
    [InlineData("%41%e4", "A\ufffd")]
    [InlineData("%c3%A4", "ä")]
    [InlineData("100%25", "100%")]
    public void What_is_no_percent_code_stays_as_it_is(string encoded, string expected) => Assert.Equal(expected, PercentEncoding.Decode(encoded));

    [Fact]
    public void A_timeout_never_gets_shorter_on_its_way_and_hardly_longer() =>
        Prop.ForAll(
            ArbMap.Default.GeneratorFor<long>().Select(ticks => TimeSpan.FromTicks(Math.Abs(ticks % TimeSpan.FromDays(4_000_000).Ticks) + 1)).ToArbitrary(),
            static timeout =>
            {
                Assert.True(GrpcTimeout.TryParse(GrpcTimeout.Format(timeout), out TimeSpan read));
                return read >= timeout && (read - timeout).Ticks <= Math.Max(TimeSpan.TicksPerMicrosecond, timeout.Ticks / 25_000_000);
            }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("1n", 1)]
    [InlineData("100n", 1)]
    [InlineData("101n", 2)]
    [InlineData("1u", 10)]
    [InlineData("1m", 10_000)]
    [InlineData("1S", 10_000_000)]
    [InlineData("1M", 600_000_000)]
    [InlineData("1H", 36_000_000_000)]
    [InlineData("99999999S", 999_999_990_000_000)]
    public void Every_unit_is_read(string text, long ticks)
    {
        Assert.True(GrpcTimeout.TryParse(text, out TimeSpan timeout));
        Assert.Equal(ticks, timeout.Ticks);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("S")]
    [InlineData("1")]
    [InlineData("+1S")]
    [InlineData(" 1S")]
    [InlineData("100000000S")]
    [InlineData("1X")]
    public void What_is_no_timeout_is_refused(string? text) => Assert.False(GrpcTimeout.TryParse(text, out _));

    [Theory]
    [InlineData(0)]
    [InlineData(-5)]
    public void A_timeout_that_has_passed_is_zero(int seconds) => Assert.Equal("0u", GrpcTimeout.Format(TimeSpan.FromSeconds(seconds)));

    [Fact]
    public void Any_bytes_survive_a_binary_header_padded_unpadded_and_joined() =>
        Prop.ForAll<byte[], byte[]>(static (first, second) =>
        {
            Metadata metadata = [];
            Assert.True(BinaryHeader.TryAddTo(metadata, "x-bin", BinaryHeader.Encode(first) + ", " + Convert.ToBase64String(second)));
            List<Metadata.Entry> entries = [.. metadata];
            return entries.Count == 2 && entries[0].ValueBytes.SequenceEqual(first) && entries[1].ValueBytes.SequenceEqual(second);
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("A")]
    [InlineData("AAAAA")]
    [InlineData("A A=")]
    [InlineData("AA-_")]
    [InlineData("AAAA,!")]
    public void What_is_no_base64_is_refused(string text) => Assert.False(BinaryHeader.TryAddTo([], "x-bin", text));

    [Fact]
    public void Frames_are_read_whatever_the_pieces_they_come_in() =>
        Prop.ForAll<string[], int>(static (texts, seed) =>
        {
            ArrayBufferWriter<byte> output = new();
            foreach (string text in texts)
            {
                MessageFrame.Write(output, new ErrorResponse { ErrorMessage = Clean(text) });
            }

            ReadOnlySequence<byte> buffer = Cut(output.WrittenMemory, new Random(seed));
            foreach (string text in texts)
            {
                Assert.Equal(FrameState.Message, MessageFrame.TryRead(ref buffer, 1 << 20, out ReadOnlySequence<byte> message, out _));
                Assert.Equal(Clean(text), ErrorResponse.Parser.ParseFrom(message).ErrorMessage);
            }

            return buffer.IsEmpty;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_frame_is_incomplete_until_its_last_byte()
    {
        ArrayBufferWriter<byte> output = new();
        MessageFrame.Write(output, new ErrorResponse { ErrorMessage = "hello" });
        for (int length = 0; length < output.WrittenCount; length++)
        {
            ReadOnlySequence<byte> buffer = new(output.WrittenMemory[..length]);

            Assert.Equal(FrameState.Incomplete, MessageFrame.TryRead(ref buffer, 1024, out _, out _));
            Assert.Equal(length, buffer.Length);
        }
    }

    [Fact]
    public void Any_bytes_are_a_frame_an_error_or_not_enough() =>
        Prop.ForAll<byte[]>(static bytes =>
        {
            ReadOnlySequence<byte> buffer = new(bytes);
            FrameState state = MessageFrame.TryRead(ref buffer, 16, out ReadOnlySequence<byte> message, out uint length);
            return state switch
            {
                FrameState.Message or FrameState.CompressedMessage => message.Length == length && buffer.Length + length + MessageFrame.HeaderSize == bytes.Length,
                FrameState.TooLong => length > 16,
                FrameState.InvalidFlag => bytes[0] > 1,
                _ => bytes.Length < MessageFrame.HeaderSize + length || bytes.Length < MessageFrame.HeaderSize,
            };
        }).QuickCheckThrowOnFailure();

    private static string Clean(string? text) => new([.. (text ?? string.Empty).Where(static c => !char.IsSurrogate(c))]);

    private static ReadOnlySequence<byte> Cut(ReadOnlyMemory<byte> bytes, Random random)
    {
        Segment first = new(ReadOnlyMemory<byte>.Empty, 0);
        Segment last = first;
        while (!bytes.IsEmpty)
        {
            int length = random.Next(1, Math.Min(bytes.Length, 7) + 1);
            last = last.Append(bytes[..length]);
            bytes = bytes[length..];
        }

        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        internal Segment(ReadOnlyMemory<byte> memory, long index)
        {
            Memory = memory;
            RunningIndex = index;
        }

        internal Segment Append(ReadOnlyMemory<byte> memory)
        {
            Segment next = new(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
